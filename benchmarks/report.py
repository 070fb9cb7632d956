"""A benchmark's results as files: the numbers as JSON, what to read of them as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from machine import sentence

BEGIN, END = "<!-- {} -->", "<!-- end -->"


def write_between(path: Path, title: str, tables: Mapping[str, str]) -> None:
    """Put tables between their marks on a page, ``<!-- NAME -->`` and ``<!-- end -->``; what else is on it stays.

    Args:
        path: of the page, which is begun where there is none; marks that it lacks are put at its end.
        title: of a new page.
        tables: NAME → Markdown.
    """
    page = path.read_text("utf-8") if path.exists() else f"# {title}\n"
    for name, table in tables.items():
        if BEGIN.format(name) not in page:
            page += f"\n{BEGIN.format(name)}\n{END}\n"
        before, rest = page.split(BEGIN.format(name))
        page = f"{before}{BEGIN.format(name)}\n{table.rstrip()}\n{END}{rest.split(END, 1)[1]}"
    path.write_text(page, "utf-8")


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
