"""Pictures of results/scale.json, as SVG: how cost grows with size, and with the number of attributes.

    .venv/bin/python benchmarks/scale_plots.py [--results FOLDER]

Needs matplotlib (the extra `plots`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from command import Command
from figures import KEPT, LEAKED, saved
from matplotlib.axes import Axes
from scale_table import worker_ms

Row = Mapping[str, Any]
METHODS = {"afrl": ("AFRL", "o"), "lattice": ("lattice", "s")}
COLOURS = {"clustered": KEPT, "gaussian": LEAKED}


def draw(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """What was measured, of the two."""
    written = []
    if result["sizes"]:
        written.append(saved(_sizes(result["sizes"]), folder / "scale-sizes.svg"))
    if result["masks"]:
        written.append(saved(_masks(result["masks"]), folder / "scale-masks.svg"))
    return written


def _sizes(rows: Sequence[Row]) -> Any:
    figure, axes = plt.subplots(2, 2, figsize=(9.2, 6.4))
    (start, memory), (latency, rate) = axes
    _lines(start, rows, lambda row: row["starts"][1]["ready_s"], "-", "later start")
    _lines(start, rows, lambda row: row["starts"][0]["ready_s"], ":", "first start")
    start.set(ylabel="s from imports to ready", yscale="log")
    _lines(memory, rows, lambda row: row["memory_mib"]["loaded"]["VmRSS"], "-", "resident")
    _lines(memory, rows, lambda row: row["memory_mib"]["loaded"]["RssAnon"], ":", "of it anonymous")
    memory.set(ylabel="MiB", ylim=(0, None))
    _lines(latency, rows, lambda row: row["median"]["p50_ms"], "-", "p50")
    _lines(latency, rows, lambda row: row["median"]["p99_ms"], ":", "p99")
    latency.set(ylabel="ms a request, 16 connections", yscale="log")
    _lines(rate, rows, lambda row: row["median"]["requests_per_s"], "-", "requests/s")
    rate.set(ylabel="requests/s", yscale="log")
    for place in axes.flat:
        place.set(xscale="log", xlabel="items")
        place.legend(frameon=False, fontsize=8)
    return figure


def _lines(place: Axes, rows: Sequence[Row], value: Callable[[Row], float], style: str, name: str) -> None:
    """One line a taste over the bundles with fewest users; those with more as points of their own."""
    fewest = min(row["users"] for row in rows)
    for taste, colour in COLOURS.items():
        shown = [row for row in rows if row["taste"] == taste]
        line = [row for row in shown if row["users"] == fewest]
        place.plot(
            [row["items"] for row in line], [*map(value, line)], f"o{style}", color=colour, label=f"{taste}, {name}"
        )
        for row in shown:
            if row["users"] > fewest:
                filled = colour if style == "-" else "none"
                label = f"{taste}, {row['users']:,} users, {name}"
                place.plot([row["items"]], [value(row)], "D", color=colour, markerfacecolor=filled, label=label)


def _masks(rows: Sequence[Row]) -> Any:
    figure, place = plt.subplots(figsize=(4.6, 3.4))
    for method, (name, style) in METHODS.items():
        shown = sorted((row for row in rows if row["method"] == method), key=lambda row: row["attributes"])
        counts = [row["attributes"] for row in shown]
        cpu = [row["median"]["cpu_ms"] for row in shown]
        place.plot(counts, cpu, f"{style}-", color=KEPT, label=f"{name}, processor time of a request")
        place.plot(counts, [*map(worker_ms, shown)], f"{style}:", color=KEPT, label=f"{name}, of it in the worker")
    place.plot(counts, [cpu[0] * 2.0 ** (count - counts[0]) for count in counts], "--", color=LEAKED, label="$2^M$")
    place.set(xlabel="M attributes", ylabel="ms", yscale="log", xticks=counts)
    place.legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Draw what `scale.py` wrote last."""
    folder = Command(__doc__).options().results
    print(*draw(json.loads((folder / "scale.json").read_text()), folder), sep="\n")


if __name__ == "__main__":
    main()
