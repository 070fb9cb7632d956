"""`python -m service lists`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from service.command_line.arguments import amount, names, positive, share
from service.errors import StartError

if TYPE_CHECKING:
    from service.lists.reranking import RerankAsked


def add_lists(parser: argparse.ArgumentParser) -> None:
    """Take whose lists to make, and how."""
    parser.epilog = (
        "A run that is broken off goes on when the same command is given again. EVENHAND_* variables mean what they "
        "mean to the service: EVENHAND_DEFAULT, EVENHAND_REQUIRED, EVENHAND_PINNED, EVENHAND_MAX_K, EVENHAND_INDEX ..."
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="folder of a version, or of a bundle (its newest)")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="ends in .parquet, .ndjson or .jsonl")
    parser.add_argument(
        "--users", metavar="all|FILE", default="all", help="all of the bundle (all), or those in FILE, one id a line"
    )
    parser.add_argument(
        "--sensitive", metavar="NAMES", action="append", help="attributes to protect (EVENHAND_DEFAULT), like a request"
    )
    parser.add_argument("--k", metavar="N", type=int, default=10, help="items of a list (10)")
    parser.add_argument(
        "--exclude-seen",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave out what a user has interacted with (so it is)",
    )
    parser.add_argument("--group", metavar="NAMES", action="append", help="only items in one of these groups (all)")
    parser.add_argument("--fallback", choices=("popular",), help="what unknown and erased users get (nothing)")
    parser.add_argument(
        "--balance",
        choices=("none", "uniform", "catalogue", "target", "quotas", "history"),
        help="what lists are balanced towards (EVENHAND_BALANCE), like a request",
    )
    parser.add_argument(
        "--balance-weight", metavar="W", type=share, help="how much that counts, 0 to 1 (EVENHAND_BALANCE_WEIGHT)"
    )
    add_reranking(parser.add_argument_group("re-ranking of all lists at once"))
    parser.add_argument(
        "--database",
        metavar="URL",
        help="requirements, interactions, hidden items, erasures (that of the service, where there is one); or none",
    )
    parser.add_argument(
        "--share",
        choices=("follow", "ignore"),
        help="while two versions answer: lists of those whom this version answers, or of everybody",
    )
    parser.add_argument("--log", action="store_true", help="record the lists in its request log, as shown")
    parser.add_argument("--threads", metavar="N", type=positive, help="that make lists (one for each core)")
    parser.set_defaults(run=_lists)


def add_reranking(parser: argparse._ArgumentGroup) -> None:
    """Take a re-ranker and what it is to do."""
    parser.add_argument(
        "--rerank",
        choices=("uof", "cpfair", "tfrom"),
        help="uof: two groups of users have about equally good lists; tfrom: item groups get quotas of exposure; "
        "cpfair: both, as prices",
    )
    parser.add_argument(
        "--rerank-candidates", metavar="N", type=positive, help="items of each user to choose from (100)"
    )
    parser.add_argument(
        "--rerank-users",
        metavar="activity|ATTRIBUTE",
        help="the two groups of users (uof, cpfair); refused where anything is protected",
    )
    parser.add_argument(
        "--rerank-gap", metavar="X", type=share, help="largest gap (uof), as a share of that without, 0 to 1"
    )
    parser.add_argument("--rerank-consumers", metavar="X", type=amount, help="price of the gap (cpfair: 1)")
    parser.add_argument(
        "--rerank-producers", metavar="X", type=amount, help="price of being off the target (cpfair: 1)"
    )
    parser.add_argument(
        "--rerank-target",
        choices=("uniform", "catalogue", "target"),
        help="of item groups (cpfair, tfrom: catalogue); target: EVENHAND_BALANCE_TARGET",
    )


def _reranker(options: argparse.Namespace) -> RerankAsked | None:
    from service.lists.reranking import RerankAsked

    names = ("candidates", "users", "gap", "consumers", "producers", "target")
    given = {name: value for name in names if (value := getattr(options, f"rerank_{name}")) is not None}
    if options.rerank is None:
        if given:
            raise StartError(f"--rerank-{next(iter(given))} says how to re-rank, and there is no --rerank")
        return None
    return RerankAsked(kind=options.rerank, **given)


def _lists(options: argparse.Namespace) -> int:
    from service.settings import read_settings

    settings = read_settings(bundle=options.bundle)
    from service.lists.command import Asked, make_lists

    outcome = make_lists(
        settings,
        Asked(
            sensitive=None if options.sensitive is None else names(options.sensitive),
            k=options.k,
            exclude_seen=options.exclude_seen,
            group=names(options.group or ()),
            fallback=options.fallback,
            balance=options.balance,
            balance_weight=options.balance_weight,
            users=options.users,
            out=options.out,
            database=options.database,
            log=options.log,
            share=options.share,
            rerank=_reranker(options),
            threads=options.threads,
        ),
    )
    for line in outcome.lines:
        print(line)
    return outcome.status
