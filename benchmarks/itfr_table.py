"""The tables of docs/results/itfr.md, between its marks: our means over seeds, with the paper's figures beside them.

Source of those: Wang et al., WWW 2024, MovieLens-1M.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from report import write_between

NAMES = {
    "bpr": "BPR",
    "bpr_cosine": "BPR, cosine",
    "group_dro": "GroupDRO",
    "stream_dro": "StreamDRO",
    "dpr": "DPR-REO",
    "fairneg": "FairNeg",
    "multifr": "MultiFR",
    "itfr": "ITFR",
}
FIGURES = {"precision": "P@20", "recall": "R@20", "ndcg": "N@20", "min": "MIN", "cv": "CV", "ucv": "UCV", "icv": "ICV"}
PAPER: Mapping[str, tuple[float, ...]] = {
    "bpr": (0.2044, 0.3793, 0.3611, 0.2398, 0.2026, 0.0892, 0.1925),
    "group_dro": (0.2016, 0.3757, 0.3558, 0.2737, 0.1145, 0.0604, 0.1096),
    "itfr": (0.2074, 0.3790, 0.3605, 0.3023, 0.0646, 0.0433, 0.0578),
}
"""In the order of FIGURES."""

Row = Mapping[str, Any]


def write_tables(runs: Sequence[Row], protected: Sequence[Row], results: Path) -> Path:
    """Write ``itfr.json``, and both tables into ``itfr.md``, which is begun where there is none.

    Args:
        runs: a row for each objective and seed.
        protected: a row for each base, alone and with gender protected; may be empty.
        results: folder.

    Returns:
        The Markdown file.
    """
    (results / "itfr.json").write_text(json.dumps({"runs": runs, "protected": protected}, indent=1) + "\n", "utf-8")
    path = results / "itfr.md"
    tables = {"objectives": _objectives(runs), "protected": _protected(protected)}
    write_between(path, "ITFR and its rivals", tables)
    return path


def _objectives(runs: Sequence[Row]) -> str:
    lines = [f"| | seeds | {' | '.join(FIGURES.values())} | best epochs |", "|---|---|" + "---|" * 8]
    for kind, name in NAMES.items():
        own = [row for row in runs if row["kind"] == kind]
        if not own:
            lines.append(f"| {name} | *not run* |" + " |" * 8)
        else:
            means = [f"{np.mean([row[figure] for row in own]):.4f}" for figure in FIGURES]
            best = ", ".join(str(row["best_epoch"]) for row in own)
            lines.append(f"| **{name}** | {len(own)} | {' | '.join(means)} | {best} |")
        if kind in PAPER:
            lines.append(f"| {name}, paper | | {' | '.join(f'{value:.4f}' for value in PAPER[kind])} | |")
    return "\n".join(lines)


def _protected(rows: Sequence[Row]) -> str:
    if not rows:
        return "*not run*"
    lines = [f"| | leakage of gender | {' | '.join(FIGURES.values())} |", "|---|---|" + "---|" * 7]
    for row in rows:
        name = NAMES[row["kind"]] + (" + lattice, gender protected" if row["sensitive"] else " alone")
        lines.append(f"| {name} | {row['auc']:.3f} | {' | '.join(f'{row[figure]:.4f}' for figure in FIGURES)} |")
    return "\n".join(lines)
