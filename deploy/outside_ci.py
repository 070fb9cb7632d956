"""`make outside-ci`: the checks that CI cannot afford, run one after the other and noted in docs/outside-ci.md.

    .venv/bin/python deploy/outside_ci.py [CHECK ...]

Without names all of them but those that take an hour. What each said is in build/outside-ci/. A check that was not run
keeps the line of its last run, whose date says how old it is; what could not be run here has failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "outside-ci.md"
LOGS = ROOT / "build" / "outside-ci"
PYTHON = sys.executable
HEAD = "| check | what | last run | at | result |\n|---|---|---|---|---|\n"
NEVER = "| never | | not run |"


@dataclass(frozen=True)
class Check:
    """One command, which ends with status 0 where all is well."""

    what: str
    command: Sequence[str]
    within_s: int = 3600
    by_name_only: bool = False


TORCHRUN = (PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
DEMO = ("-m", "training", "run", "training/configs/demo.toml", "--device", "cpu")
ML_100K = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
CHECKS: Mapping[str, Check] = {
    "image": Check("the image builds, starts, is healthy and answers (`make image-check`)", ("deploy/image-check",)),
    "screenshots": Check(
        "every page and a report, in each look (`make screenshots`)", (PYTHON, "deploy/screenshots.py")
    ),
    "torchrun": Check("two processes train the demo", (*TORCHRUN, *DEMO, "--out", str(LOGS / "bundles"))),
    "fetch": Check(
        "MovieLens-100K from its own server (`training data fetch`)",
        (PYTHON, "-m", "training", "data", "fetch", ML_100K, str(LOGS / f"ml-100k-{os.getpid()}")),
    ),
    "benchmarks": Check("every benchmark at full size (`make bench-full`)", ("make", "bench-full"), 4 * 3600, True),
}


def main() -> int:
    """Run what is asked for, and note it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    asked = parser.parse_args().checks
    if unknown := sorted({*asked} - {*CHECKS}):
        parser.error(f"there is no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    wanted = asked or [name for name, check in CHECKS.items() if not check.by_name_only]
    results = {name: checked(name) for name in wanted}
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_lines(page, noted(page) | results), encoding="utf-8")
    if left := [name for name in CHECKS if name not in wanted]:
        say(f"not run: {', '.join(left)}")
    return 0 if all("| passed" in line for line in results.values()) else 1


def checked(name: str) -> str:
    """Run one, and say when, on what and how it ended: the rest of its line."""
    check, log = CHECKS[name], LOGS / f"{name}.log"
    LOGS.mkdir(parents=True, exist_ok=True)
    say(f"{name}: {check.what}")
    commit, began = revision(), time.monotonic()
    with log.open("w") as said:
        try:
            status = subprocess.run(
                check.command, cwd=ROOT, stdout=said, stderr=said, timeout=check.within_s, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
    took = f"{time.monotonic() - began:.0f} s"
    result = f"passed in {took}" if status == 0 else f"**failed** after {took}"
    say(f"{name}: {result.replace('*', '')}" + ("" if status == 0 else f"; see {log}"))
    return f"| {datetime.now(UTC).date().isoformat()} | {commit} | {result} |"


def noted(page: str) -> dict[str, str]:
    """Check → the rest of its line on the page, after what it is."""
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.partition(HEAD)[2].splitlines()}
    return {name: f"|{lines[name].split('|', 3)[3]}" if name in lines else NEVER for name in CHECKS}


def with_lines(page: str, lines: Mapping[str, str]) -> str:
    """The page with these for its table, which is the last thing on it."""
    table = "".join(f"| {name} | {CHECKS[name].what} {rest}\n" for name, rest in lines.items())
    return page.partition(HEAD)[0] + HEAD + table


def revision() -> str:
    """The commit, with a + where files differ from it."""
    git = ("git", "-C", str(ROOT))
    commit = subprocess.run((*git, "rev-parse", "--short", "HEAD"), capture_output=True, text=True, check=False).stdout
    changed = subprocess.run((*git, "status", "--porcelain"), capture_output=True, text=True, check=False).stdout
    return (commit.strip() or "no commit") + ("+" if changed else "")


def say(text: str) -> None:
    """One step, as make prints its own."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
