"""`python -m service audit`."""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

from service.audit.reader import only_while_read
from service.command_line.arguments import positive, share
from service.errors import StartError

ASKED = ("profile", "masks", "metrics", "users", "balance", "balance_weight", "seed")
Number = TypeVar("Number", int, float)


def add_audit(parser: argparse.ArgumentParser) -> None:
    """Take what an audit can be asked for."""
    parser.epilog = (
        "Ends with 0 where the verdict is pass or inconclusive, 1 where it is fail, 2 where the audit was refused, 4 "
        "where something was not judged, as in every quick look. Options win over EVENHAND_AUDIT_* variables."
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of a version, or of a bundle (its newest)")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder of the files (audits/NAME-VERSION)")
    parser.add_argument("--profile", choices=("quick", "full"), help="quick: a look, no verdict (the default)")
    parser.add_argument("--masks", metavar="SETS", help='attributes to protect, like "gender;gender,age;" (all sets)')
    parser.add_argument("--metrics", metavar="NAMES", help="comma-separated (everything)")
    parser.add_argument("--users", metavar="N", type=int, help="audit users to look at, at most (all)")
    parser.add_argument(
        "--balance",
        choices=("none", "uniform", "catalogue", "target", "quotas"),
        help="attack lists that are balanced so, and measure lists alone (EVENHAND_BALANCE, and everything)",
    )
    parser.add_argument(
        "--balance-weight", metavar="W", type=share, help="how much that counts, 0 to 1 (EVENHAND_BALANCE_WEIGHT)"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="of all that is drawn (that of the training run)")
    parser.add_argument(
        "--workers", metavar="N", type=positive, help="processes side by side (EVENHAND_AUDIT_WORKERS, else 1)"
    )
    parser.add_argument(
        "--leakage-at-most",
        metavar="AUC",
        type=float,
        help="for a pass, with its interval (EVENHAND_AUDIT_LEAKAGE_AT_MOST, else 0.6)",
    )
    parser.add_argument(
        "--kept-at-least",
        metavar="SHARE",
        type=float,
        help="of the accuracy, for a pass (EVENHAND_AUDIT_KEPT_AT_LEAST, else 0.8)",
    )
    parser.add_argument(
        "--index", choices=("torch", "ivf", "hnsw"), default="torch", help="the kind that serves (torch)"
    )
    parser.add_argument("--progress", action="store_true", help="lines of JSON for a supervising process, nothing else")
    parser.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> int:
    with only_while_read() if options.progress else nullcontext():
        return _measured(options)


def _measured(options: argparse.Namespace) -> int:
    try:
        from service.audit.command import audit, read_request
    except ModuleNotFoundError as error:
        raise StartError(f"audits need the package {error.name}: install evenhand with its extra `audit`") from error

    from service.balance import balance_policy
    from service.settings import read_audit_settings

    settings = read_audit_settings()
    bounds = (settings.balance, settings.balance_weight, settings.balance_weight_max, settings.balance_target)
    asked = {name: getattr(options, name) for name in ASKED}
    workers = settings.audit_workers if "audit_workers" in settings.model_fields_set else 1
    outcome = audit(
        options.bundle,
        options.out,
        read_request(**asked),
        workers=_first(options.workers, workers),
        leakage_at_most=_first(options.leakage_at_most, settings.audit_leakage_at_most),
        kept_at_least=_first(options.kept_at_least, settings.audit_kept_at_least),
        index=options.index,
        balance=balance_policy(*bounds),
        supervised=options.progress,
    )
    for line in outcome.lines:
        print(line)
    return outcome.status


def _first(given: Number | None, else_: Number) -> Number:
    return else_ if given is None else given
