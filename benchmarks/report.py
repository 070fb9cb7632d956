"""A benchmark's results as files: the numbers as JSON, what to read of them as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machine import sentence


def write_report(folder: Path, name: str, title: str, result: Mapping[str, Any], body: str) -> None:
    """Write NAME.json and NAME.md, and print the latter.

    Args:
        folder: where to, as `Command.options` gives it.
        name: of the benchmark's module.
        title: of the page.
        result: numbers, with what `machine.circumstances` gives.
        body: Markdown between the command and the sentence on the machine.
    """
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    head = f"# {title}\n\n`.venv/bin/python benchmarks/{name}.py`, which says at its top what is what.\n\n"
    page = f"{head}{body.strip()}\n\n{sentence(result)}.\n"
    (folder / f"{name}.md").write_text(page, encoding="utf-8")
    print("\n" + page, end="")
