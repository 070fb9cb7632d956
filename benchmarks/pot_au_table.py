"""The tables of docs/results/pot-au.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import sentence
from report import write_between

NAMES = {"als": "ALS", "pmf": "PMF", "lightgcn": "LightGCN"}
PROFILES = {True: "quick", False: "full"}
Row = Mapping[str, Any]


def write_tables(rows: Sequence[Row], facts: Mapping[str, Any], results: Path) -> Path:
    """Put numbers and tables into the folder; what else is on the page stays.

    Args:
        rows: a state of some base's vectors each.
        facts: date, machine and versions.
        results: folder.

    Returns:
        The Markdown file.
    """
    (results / "pot-au.json").write_text(json.dumps({**facts, "rows": list(rows)}, indent=1) + "\n", "utf-8")
    path = results / "pot-au.md"
    tables = {"vectors": f"{_vectors(rows)}\n\n{sentence(facts)}.", "together": _together(rows)}
    write_between(path, "PoT-AU", tables)
    return path


def _vectors(rows: Sequence[Row]) -> str:
    head = "data | base | vectors | attackers | theirs: perceptron AUC / BAcc | trees AUC / BAcc | ours (95 %) | by"
    lines = [f"| {head} | sampled N@10 | kept | full N@10 | kept | moved by | seconds |", "|---" * 14 + "|"]
    for place in dict.fromkeys(map(_place, sorted(rows, key=_order))):
        own = sorted((row for row in rows if _place(row) == place), key=lambda row: row["update"] != "before")
        before = own[0]
        for row in own:
            attacks = [f"{each['auc']:.3f} / {each['bacc']:.3f}" for each in row["theirs"].values()]
            best = row["ours"]
            cells = [row["data"], NAMES[row["base"]], row["update"], PROFILES[row["look"]], *attacks]
            cells += [_auc(best), best["attacker"]]
            for name in ("sampled", "full"):
                cells += [f"{row[name]:.4f}", f"{row[name] / before[name]:.3f}" if before[name] else ""]
            cells += [f"{row['moved']:.0%}" if "moved" in row else "", f"{row['seconds']:.0f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _together(rows: Sequence[Row]) -> str:
    head = "data | base | update | u and u* | lists of u | lists of u* | both lists"
    lines = [f"| {head} |", "|---" * 7 + "|"]
    once = {(row["data"], row["base"], row["update"]): row for row in sorted(rows, key=_order, reverse=True)}
    for row in sorted(once.values(), key=_order):
        if "together" in row:
            lists = [_auc(row["lists"][name]) for name in ("before", "after", "together")]
            cells = [row["data"], NAMES[row["base"]], row["update"], _auc(row["together"]), *lists]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _place(row: Row) -> tuple[str, str, bool]:
    return row["data"], row["base"], row["look"]


def _order(row: Row) -> tuple[bool, int, bool, str]:
    """MovieLens-1M first, bases as they are named, the quick look first, updates by name."""
    return row["data"] != "MovieLens-1M", list(NAMES).index(row["base"]), not row["look"], row["update"]


def _auc(found: Mapping[str, Any]) -> str:
    return f"{found['auc']:.3f} ({found['ci95'][0]:.3f} - {found['ci95'][1]:.3f})"
