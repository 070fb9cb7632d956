"""From files to a dataset ready for training: time and peak memory by the number of interactions.

    .venv/bin/python benchmarks/data.py [--interactions 1000000 10000000] [--folder DIR]

Generates tables (a tenth as many users, 100,000 items), puts the interactions in order of time, as a log has them, and
prepares them from CSV and from Parquet: ids to rows, positives by threshold, each user's interactions in time order,
each item once, the last two positives held out, users split. Every step is a process of its own on two cores; memory is
the most that the process had resident, the interpreter and its libraries included. Needs 1 GiB of disk for 10,000,000
interactions. Results go to results/data.json and data.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from command import Command
from machine import circumstances
from report import write_report

HERE = Path(__file__).parent
ITEMS, PER_USER, CORES = 100_000, 10, 2
BUDGET_MIB = 4096
MIB = 2**20
PACKAGES = ("polars", "pyarrow", "numpy")
HEAD = (
    "| interactions | from | file MiB | rows/s | wall s | processor s | of it reading s | holding out, splitting s "
    f"| peak memory MiB (budget {BUDGET_MIB:,}) |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Run one step of it where a process was started for that, else all of it."""
    command = Command(__doc__)
    command.add_size("--interactions", type=int, nargs="+", default=[1_000_000, 10_000_000])
    command.add_argument("--folder", type=Path, help="keep the tables here, and use those that are there")
    command.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    command.add_argument("--by-time", type=Path, help=argparse.SUPPRESS)
    options = command.options()
    facts = circumstances(PACKAGES)
    if options.prepare:
        print(json.dumps(prepare(options.prepare)))
    elif options.by_time:
        by_time(options.by_time)
    elif options.folder:
        report(options.results, facts, measure_all(options.interactions, options.folder))
    else:
        with tempfile.TemporaryDirectory() as folder:
            report(options.results, facts, measure_all(options.interactions, Path(folder)))


def measure_all(counts: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """Rows of all sizes."""
    return [row for count in counts for row in measure(count, folder)]


def measure(interactions: int, folder: Path) -> list[dict[str, Any]]:
    """Make the tables and prepare them from either format, which has to give the same dataset."""
    tables = folder / f"{interactions}"
    made: dict[str, Any] = {}
    if not tables.exists():
        sizes = {"users": interactions // PER_USER, "items": ITEMS, "interactions-per-user": PER_USER}
        arguments = [part for name, size in sizes.items() for part in (f"--{name}", str(size))]
        command = ["-m", "training", "data", "generate", str(tables), *arguments, "--format", "parquet"]
        made = child(command)
        child([__file__, "--by-time", str(tables)])
    rows = []
    for suffix in ("csv", "parquet"):
        log = tables / "log" / suffix
        found = child([__file__, "--prepare", str(log)])
        said = json.loads(found.pop("said"))
        size = (log / f"interactions.{suffix}").stat().st_size / MIB
        rows.append({"format": suffix, "file_mib": size, **found, **said, "generating": made})
        print(_line(rows[-1]), flush=True)
    if len({row["fingerprint"] for row in rows}) > 1:
        raise SystemExit("the formats give different datasets")
    return rows


def child(arguments: Sequence[str]) -> dict[str, Any]:
    """Run Python in a process of its own; this one stays small, because a child's peak begins with its parent's."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, cwd=HERE.parent)
    said = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    peak_mib = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MIB
    return {"wall_s": time.perf_counter() - started, "cpu_s": cpu_s, "peak_mib": peak_mib, "said": said}


def prepare(folder: Path) -> dict[str, Any]:
    """What a run does before it trains, on two cores."""
    _two_cores()
    sys.path.insert(0, str(HERE.parent))
    from training.data.config import TablesConfig
    from training.data.load import load
    from training.data.split import hold_out, split_users

    started = time.perf_counter()
    dataset = load(TablesConfig(positive_at_least=4, min_positives=3), folder)
    loaded = time.perf_counter()
    held_out, user_split = hold_out(dataset), split_users(dataset.users, "evenhand")
    ended = time.perf_counter()
    if not (len(held_out.test) == len(user_split) == len(dataset.users)):
        raise SystemExit("a user has no row")
    return {
        "interactions": _rows(folder),
        "users": len(dataset.users),
        "items": len(dataset.items),
        "kept": int(dataset.indices.size),
        "fingerprint": dataset.fingerprint,
        "load_s": loaded - started,
        "split_s": ended - loaded,
    }


def _rows(folder: Path) -> int:
    """Interactions in the file, whichever it is."""
    return int((folder.parent / "rows").read_text())


def by_time(folder: Path) -> None:
    """Put generated interactions into the order of a log, in both formats; this step's memory is not measured."""
    import polars as pl

    log = pl.read_parquet(folder / "interactions.parquet").sort("timestamp", maintain_order=True)
    for suffix in ("csv", "parquet"):
        (folder / "log" / suffix).mkdir(parents=True)
    log.write_csv(folder / "log" / "csv" / "interactions.csv")
    log.write_parquet(folder / "log" / "parquet" / "interactions.parquet")
    (folder / "log" / "rows").write_text(str(log.height))
    for stem in ("users", "items"):
        table = pl.read_parquet(folder / f"{stem}.parquet")
        table.write_parquet(folder / "log" / "parquet" / f"{stem}.parquet")
        lists = [name for name, kind in table.schema.items() if isinstance(kind, pl.List)]
        table.with_columns(pl.col(lists).list.join("|")).write_csv(folder / "log" / "csv" / f"{stem}.csv")


def _two_cores() -> None:
    """Set before Polars starts its threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    os.environ |= {"POLARS_MAX_THREADS": str(CORES), "OMP_NUM_THREADS": str(CORES)}


def report(folder: Path, facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep the numbers, and print them as a table."""
    made = {row["interactions"]: row["generating"] for row in rows if row["generating"]}
    written = [
        f"`python -m training data generate` wrote {count:,} of them in {one['cpu_s']:.0f} s of processor time "
        f"({one['wall_s']:.0f} s), with at most {one['peak_mib']:,.0f} MiB resident."
        for count, one in made.items()
    ]
    body = "\n\n".join(["\n".join([HEAD, *map(_line, rows)]), *written, f"Each step on {CORES} cores."])
    write_report(folder, "data", "From files to a dataset", facts | {"cores": CORES, "rows": list(rows)}, body)


def _line(row: Mapping[str, Any]) -> str:
    rate = row["interactions"] / row["wall_s"]
    return (
        f"| {row['interactions']:,} | {row['format']} | {row['file_mib']:,.0f} | {rate:,.0f} | {row['wall_s']:.1f} "
        f"| {row['cpu_s']:.1f} | {row['load_s']:.1f} | {row['split_s']:.1f} | **{row['peak_mib']:,.0f}** |"
    )


if __name__ == "__main__":
    main()
