"""A benchmark's command line: its sizes, and the folder that its results go to."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
"""Committed: what was measured at full size."""
SMALLER = ROOT / "build" / "benchmarks"
"""What was measured at any other."""


class Command(argparse.ArgumentParser):
    """What `python benchmarks/NAME.py` takes.

    The defaults of its sizes are the full size. Results of another one never replace those of the full one unless
    ``--results`` says so.
    """

    def __init__(self, description: str | None, results: Path = RESULTS) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self._full, self._sizes = results, []
        shown, smaller = (path.relative_to(ROOT) for path in (results, SMALLER))
        self.add_argument(
            "--results", type=Path, help=f"folder for the results (else {shown}, or {smaller} where a size is given)"
        )

    def add_size(self, *names: str, **how: Any) -> None:
        """Add an argument that says how much is measured."""
        self._sizes.append(self.add_argument(*names, **how).dest)

    def options(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Read the command line; ``results`` is a folder that exists."""
        given = self.parse_args(arguments)
        if given.results is None:
            full = all(getattr(given, size) == self.get_default(size) for size in self._sizes)
            given.results = self._full if full else SMALLER
        given.results.mkdir(parents=True, exist_ok=True)
        return given
