"""The result of `index.py`: its rows, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import faiss

WITHOUT = "seen items dropped"
"""Notes a row of such lists."""


@dataclass
class Row:
    """One backend on one catalogue."""

    catalogue: str
    items: int
    backend: str
    build_s: float
    memory_mib: float
    recall: float
    list_p50_ms: float
    list_p99_ms: float
    list_batch_ms: float
    search_p50_ms: float
    note: str = ""


COLUMNS = (
    "catalogue",
    "items",
    "backend",
    "build s",
    "memory MiB",
    "recall@10",
    "list p50 ms",
    "list p99 ms",
    "list in a batch of 64, processor ms",
    "search p50 ms",
    "list p50, × faster than flat",
    "",
)


def markdown(rows: Sequence[Row]) -> str:
    """Results as a table."""
    plain = [row for row in rows if WITHOUT not in row.note]
    flat = {(row.catalogue, row.items): row.list_p50_ms for row in plain if row.backend == "faiss flat"}
    lines = []

    for row in plain:
        if (row.catalogue, row.items) == ("clustered", 1_000_000) and row.backend == "faiss ivf":
            ratio = flat[row.catalogue, row.items] / row.list_p50_ms
            lines += [
                f"Budget: at least 20 at recall@10 of 0.98: **{ratio:.0f}** at {row.recall:.3f}.",
                "",
            ]

    lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]

    def figure(value: float, form: str) -> str:
        return "-" if math.isnan(value) else format(value, form)

    for row in rows:
        faster = flat[row.catalogue, row.items] / row.list_p50_ms
        cells = [
            row.catalogue,
            f"{row.items:,}",
            row.backend,
            figure(row.build_s, ".1f"),
            figure(max(0.0, row.memory_mib), ".0f"),
            figure(row.recall, ".3f"),
            figure(row.list_p50_ms, ".3f"),
            figure(row.list_p99_ms, ".3f"),
            figure(row.list_batch_ms, ".3f"),
            figure(row.search_p50_ms, ".3f"),
            figure(faster, ".1f"),
            row.note,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"FAISS's {' '.join(faiss.get_compile_options().split())}."])
