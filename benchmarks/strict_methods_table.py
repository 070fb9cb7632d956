"""The table of docs/results/strict-methods.md, between its marks: a row for each split, and the mean of each base."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from machine import sentence
from report import write_between

NAME = "strict-methods"
NAMES = {"als": "ALS", "pmf": "PMF", "sasrec": "SASRec"}
TARGETS: Mapping[tuple[tuple[str, ...], str], str] = {
    (("gender",), "sampled"): "≥ .94",
    (("gender",), "full"): "≥ .87",
    (("age",), "sampled"): "≥ .93",
    (("occupation",), "sampled"): "≥ .88",
    (("gender", "age", "occupation"), "sampled"): "≥ .87",
    (("gender", "age", "occupation"), "full"): "≥ .78",
}
KINDS = ("sampled", "full")
LEAKAGE_AT_MOST, JOINED_AT_MOST = "each ≤ .575", "≤ .58"

Row = Mapping[str, Any]
Cell = tuple[str, Callable[[Row], Sequence[float]], str, str]
"""Head, figures of a row, what stands between them, target."""


def write_table(rows: Sequence[Row], around: Mapping[str, Any], folder: Path) -> Path:
    """Write strict-methods.json, and the table into strict-methods.md, which is begun where there is none."""
    (folder / f"{NAME}.json").write_text(json.dumps({**around, "rows": rows}, indent=1) + "\n", "utf-8")
    path = folder / f"{NAME}.md"
    write_between(path, "Strict methods compared", {"salts": f"{_as_text(rows)}\n\n{sentence(around)}."})
    return path


def _as_text(rows: Sequence[Row]) -> str:
    cells = list(_cells(rows[0]))
    lines = [
        "| base | salt | n | " + " | ".join(head for head, *_ in cells) + " |",
        "|---|---|---|" + "---|" * len(cells),
    ]
    for base, group in groupby(rows, lambda row: str(row["base"])):
        own = list(group)
        for row in own:
            count = "/".join(map(str, row["n"]))
            lines.append(f"| {NAMES.get(base, base)} | {row['salt']} | {count} | {_line(cells, [row])} |")
        lines.append(f"|  | **mean of {len(own)}** |  | {_line(cells, own)} |")
    lines.append("| target | | | " + " | ".join(target for *_, target in cells) + " |")
    return "\n".join(lines)


def _line(cells: Sequence[Cell], rows: Sequence[Row]) -> str:
    """Means of the rows, cell by cell; empty where something was not measured."""
    return " | ".join(
        between.join(f"{figure:.3f}".lstrip("0") for figure in np.mean([figures(row) for row in rows], axis=0))
        for _, figures, between, _ in cells
    )


def _cells(row: Row) -> list[Cell]:
    """Columns: what each mask keeps and shows, then what masks show together."""
    cells: list[Cell] = []
    for kept in row["kept"]:
        mask = tuple(kept["sensitive"])
        names, leaks = ", ".join(mask), _leaks("fair", mask, mask)
        if len(mask) == 2:
            cells.append((f"{names}: s / f", lambda row, m=mask: [_kept(row, m, kind) for kind in KINDS], " / ", ""))
            cells.append(("leakage", leaks, " / ", ""))
            continue
        shown = names if len(mask) == 1 else "all three"
        for head, kind in ((f"{shown}: s", "sampled"), ("f", "full")):
            target = TARGETS.get((mask, kind), "")
            cells.append((head, lambda row, m=mask, k=kind: [_kept(row, m, k)], " / ", target))
        cells.append(("leakage", leaks, " / ", LEAKAGE_AT_MOST.removeprefix("each " if len(mask) == 1 else "")))
    joined = tuple(each["attribute"] for each in row["leakage"] if each["target"] == "protecting_masks")
    figures = _leaks("protecting_masks", None, joined)
    return [*cells, (f"joined: {', '.join(joined)}", figures, " / ", JOINED_AT_MOST)]


def _kept(row: Row, mask: tuple[str, ...], kind: str) -> float:
    return float(next(each[kind] for each in row["kept"] if tuple(each["sensitive"]) == mask))


def _leaks(target: str, mask: tuple[str, ...] | None, names: Sequence[str]) -> Callable[[Row], Sequence[float]]:
    def figures(row: Row) -> list[float]:
        found = {
            each["attribute"]: each.get("auc", np.nan)
            for each in row["leakage"]
            if each["target"] == target and (mask is None or tuple(each["sensitive"]) == mask)
        }
        return [found[name] for name in names]

    return figures
