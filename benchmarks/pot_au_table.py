"""The tables of docs/results/pot-au.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import sentence
from report import write_between

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
    head = "base | vectors | theirs: perceptron AUC / BAcc | trees AUC / BAcc | ours (95 %) | by | sampled N@10 | kept"
    lines = [f"| {head} | full N@10 | kept | moved by | seconds |", "|---" * 12 + "|"]
    for base in sorted({row["base"] for row in rows}):
        own = sorted((row for row in rows if row["base"] == base), key=lambda row: row["update"] != "before")
        before = own[0]
        for row in own:
            attacks = [f"{each['auc']:.3f} / {each['bacc']:.3f}" for each in row["theirs"].values()]
            best = row["ours"]
            cells = [base.upper(), row["update"], *attacks, _auc(best), best["attacker"]]
            for name in ("sampled", "full"):
                cells += [f"{row[name]:.4f}", f"{row[name] / before[name]:.3f}" if before[name] else ""]
            cells += [f"{row['moved']:.0%}" if "moved" in row else "", f"{row['seconds']:.0f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _together(rows: Sequence[Row]) -> str:
    head = "base | update | u and u* | lists of u | lists of u* | both lists"
    lines = [f"| {head} |", "|---" * 6 + "|"]
    for row in sorted(rows, key=lambda row: (row["base"], row["update"])):
        if "together" in row:
            lists = [_auc(row["lists"][name]) for name in ("before", "after", "together")]
            lines.append(f"| {row['base'].upper()} | {row['update']} | {_auc(row['together'])} | {' | '.join(lists)} |")
    return "\n".join(lines)


def _auc(found: Mapping[str, Any]) -> str:
    return f"{found['auc']:.3f} ({found['ci95'][0]:.3f} - {found['ci95'][1]:.3f})"
