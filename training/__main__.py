"""`python -m training`: run, evaluate, compare, report, data."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path

import torch
from pydantic import ValidationError

from bundle import BundleError, read_bundle, said
from measure.audit import Thresholds
from measure.profiles import PROFILES
from measure.split import TRAIN
from training import parallel, scalars
from training.card import make_card
from training.compare import as_text, compare_versions, thresholds_of
from training.config import AUDITED_AT_MOST, RunConfig, read_config, read_data_config
from training.data.check import as_toml, describe
from training.data.config import AutoConfig
from training.data.fetch import fetch
from training.data.generated import generate
from training.data.generated_config import GeneratedConfig
from training.data.load import choose_reader, load
from training.data.small_classes import merge_small
from training.data.split import split_users
from training.data.told import ask_service, read_told
from training.data.write import write_tables
from training.demands import experiment_of
from training.errors import ConfigError, TrainingError
from training.pull import CONFIG as PULLED
from training.pull import pull
from training.report import default_folder, write_report
from training.run import run
from training.summary import summary
from training.table import write_table


def main(arguments: list[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        return options.command(options) or 0
    except (TrainingError, BundleError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> None:
    started = time.monotonic()
    config = read_config(options.config, options.set, seed=options.seed)
    with parallel.together(_device(options.device)) as device, scalars.written_to(options.tensorboard):
        path = run(config, options.data, options.out, device, options.bases)
    if path is not None:
        print(summary(read_bundle(path).card))
        print(f"\n{path}  ({time.monotonic() - started:.0f} s)")


def _evaluate(options: argparse.Namespace) -> None:
    bundle, started = read_bundle(options.bundle), time.monotonic()
    card = make_card(bundle, PROFILES[options.profile], options.workers, options.users)
    print(json.dumps(card, indent=1) if options.json else summary(card))
    took = f"\nprofile {options.profile}: {time.monotonic() - started:.0f} s"
    print(took, file=sys.stderr if options.json else sys.stdout)


def _report(options: argparse.Namespace) -> None:
    bundle = read_bundle(options.bundle)
    for path in write_report(bundle, options.out or default_folder(bundle)):
        print(path)


def _compare(options: argparse.Namespace) -> int:
    new, old = read_bundle(options.new), read_bundle(options.old)
    found = compare_versions(new, old, thresholds_of(options.leakage_at_most, options.kept_at_least))
    print(as_text(found))
    return 1 if found.reasons else 0


def _table(options: argparse.Namespace) -> None:
    print(write_table(options.bundles, options.out))


def _generate(options: argparse.Namespace) -> None:
    sizes = {name: getattr(options, name) for name in ("users", "items", "interactions_per_user", "pickiness", "seed")}
    try:
        config = GeneratedConfig.model_validate(sizes)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(key or "sizes", said(first), value=sizes.get(key, sizes)) from None
    write_tables(generate(config), options.folder, options.format)


def _check(options: argparse.Namespace) -> None:
    config = read_data_config(options.config) if options.config else RunConfig(name="data", data=AutoConfig())
    chosen = choose_reader(config.data, options.folder)
    try:
        dataset = load(config.data if isinstance(chosen, GeneratedConfig) else chosen, options.folder)
        train = split_users(dataset.users, config.split_salt) == TRAIN
        print(describe(merge_small(dataset, train), train))
        experiment_of(config, dataset)
    finally:
        print(as_toml(chosen))


def _pull(options: argparse.Namespace) -> None:
    bundle = read_bundle(options.since)
    told = read_told(options.exported) if options.exported else ask_service(options.database)
    config = read_config(options.config) if options.config else None
    counts = pull(bundle, told, options.out, config=config, data=options.data, table_format=options.format)
    for what, count in counts.items():
        print(f"{count:>12,}  {what}")
    print(f"\npython -m training run {options.out / PULLED} --data {options.out}")


def _fetch(options: argparse.Namespace) -> None:
    fetch(options.url, options.folder, options.sha256)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda: torch sees no CUDA device here; use --device cpu or auto")
    return torch.device(name)


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="train, measure and write a bundle")
    command.add_argument("config", type=Path, metavar="CONFIG.toml")
    command.add_argument("--data", type=Path, help="folder of the data")
    command.add_argument("--out", type=Path, default=Path("bundles"), help="where bundles go (bundles)")
    command.add_argument("--bases", type=Path, help="keep trained bases here for other runs with the same base")
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    command.add_argument("--seed", type=int, help="instead of the configuration's")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="instead of the configuration's, as fair.adversary_weight=0.5; may be repeated",
    )
    command.add_argument("--tensorboard", type=Path, metavar="DIR", help="write losses and scores by epoch here")
    command.set_defaults(command=_run)

    command = commands.add_parser("evaluate", help="measure a bundle again; rewrites nothing")
    command.add_argument("bundle", type=Path)
    command.add_argument("--profile", choices=sorted(PROFILES), default="quick")
    most = f"audit users to look at, at most ({AUDITED_AT_MOST:,})"
    command.add_argument("--users", type=_count, default=AUDITED_AT_MOST, metavar="N", help=most)
    command.add_argument("--json", action="store_true", help="the whole card instead of a table")
    command.add_argument("--workers", type=_count, help="processes that attack side by side (one on each CPU)")
    command.set_defaults(command=_evaluate)

    command = commands.add_parser("report", help="write a bundle's card as tables and plots: HTML and Markdown")
    command.add_argument("bundle", type=Path)
    command.add_argument("--out", type=Path, help="folder for report.html and report.md (reports/NAME-VERSION)")
    command.set_defaults(command=_report)

    command = commands.add_parser(
        "compare",
        help="the gate before an activation: whether a new version leaks more or keeps less than the old one",
        epilog="Ends with 0 where the new version may take the old one's place, 1 where it may not, with the reasons, "
        "2 where a bundle cannot be read or compared. A row is worse where its whole 95 % interval is.",
    )
    command.add_argument("new", type=Path, metavar="NEW", help="folder of the new version")
    command.add_argument("old", type=Path, metavar="OLD", help="folder of the version that it is to replace")
    demand = Thresholds()
    command.add_argument(
        "--leakage-at-most", type=float, default=demand.leakage_at_most, metavar="AUC", help="of verdicts (0.6)"
    )
    command.add_argument(
        "--kept-at-least", type=float, default=demand.kept_at_least, metavar="SHARE", help="of verdicts (0.8)"
    )
    command.set_defaults(command=_compare)

    command = commands.add_parser("table", help="the AFRL paper's Table 2 from bundles of mode reproduce")
    command.add_argument("bundles", type=Path, nargs="+")
    command.add_argument("--out", type=Path, default=Path("reports"), help="folder for paper-table.json and .md")
    command.set_defaults(command=_table)

    data = commands.add_parser("data", help="generate, check, pull or fetch data").add_subparsers(
        required=True, metavar="COMMAND"
    )
    command = data.add_parser("generate", help="write synthetic tables with planted attribute effects")
    command.add_argument("folder", type=Path)
    command.add_argument("--users", type=int, default=1000)
    command.add_argument("--items", type=int, default=500)
    command.add_argument("--interactions-per-user", type=int, default=60, metavar="MEAN")
    command.add_argument("--pickiness", type=float, default=1.5, help="how much taste decides what users meet (1.5)")
    command.add_argument("--seed", type=int, default=2020)
    command.add_argument("--format", choices=("csv", "parquet"), default="csv")
    command.set_defaults(command=_generate)
    command = data.add_parser("check", help="say what is in a folder, and the [data] table that reads it")
    command.add_argument("folder", type=Path, nargs="?", help="not needed where the configuration generates data")
    command.add_argument("--config", type=Path, metavar="FILE", help="a run's TOML file, or its [data] table alone")
    command.set_defaults(command=_check)
    command = data.add_parser(
        "pull",
        help="a bundle's data and what its service was told since, as three tables",
        epilog="Writes interactions, users, items and run.toml, the bundle's configuration with these tables as data. "
        "Users ever erased are left out as they were before; of a user and an item the last interaction counts.",
    )
    told = command.add_mutually_exclusive_group()
    told.add_argument("--database", metavar="URL", help="the service's (EVENHAND_DATABASE_URL hides a password)")
    told.add_argument("--exported", type=Path, metavar="FOLDER", help="written by `python -m service export` elsewhere")
    command.add_argument("--since", type=Path, required=True, metavar="BUNDLE", help="folder of a version")
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the tables go")
    command.add_argument("--config", type=Path, metavar="CONFIG.toml", help="in place of the one in the bundle's card")
    command.add_argument("--data", type=Path, metavar="DIR", help="what the bundle was trained on, where order matters")
    command.add_argument("--format", choices=("csv", "parquet"), default="parquet")
    command.set_defaults(command=_pull)
    command = data.add_parser("fetch", help="download and unpack a zip archive")
    command.add_argument("url")
    command.add_argument("folder", type=Path)
    command.add_argument("--sha256", help="refuse an archive with another hash")
    command.set_defaults(command=_fetch)
    return parser


if __name__ == "__main__":
    sys.exit(main())
