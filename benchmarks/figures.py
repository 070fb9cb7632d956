"""The AFRL paper's Figures 3 - 6 from our runs: plots as SVG, the same numbers as a Markdown table.

Leakage is the score AUC of the strongest attacker, mean over what is protected; all three attributes are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

Point = Mapping[str, Any]
TITLES = {"pmf": "PMF", "sasrec": "SASRec"}
WEIGHTS = {"adversary_weight": "λ (adversary)", "alignment_weight": "β (alignment)"}
USED = {"none": "both kinds of parts", "shared": "without the shared part", "attributes": "without the attribute parts"}
KEPT, LEAKED = "#0b6e99", "#b3402a"

mpl.use("Agg")
mpl.rcParams |= {
    "svg.hashsalt": "evenhand",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "figure.constrained_layout.use": True,
}


def write_figures(points: Sequence[Point], folder: Path) -> list[Path]:
    """Draw what was run; a point is one AFRL bundle as `paper.py` describes it."""
    shown = {base: [point for point in points if point["base_model"] == base] for base in TITLES}
    shown = {base: found for base, found in shown.items() if found}
    table = folder / "paper-figures.md"
    table.write_text(_table(shown), encoding="utf-8")
    panels = {
        field: {base: runs for base, found in shown.items() if len(runs := swept(found, field)) > 1}
        for field in WEIGHTS
    }
    written = [table]
    if fronts := panels["adversary_weight"]:
        written.append(saved(_front(fronts, shown), folder / "paper-front.svg"))
    if curves := [(base, field, runs) for field, found in panels.items() for base, runs in found.items()]:
        written.append(saved(_curves(curves), folder / "paper-curves.svg"))
    return written


def saved(figure: Any, path: Path) -> Path:
    """Written without a date, so that the same numbers give the same file."""
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path


def figures(point: Point) -> tuple[float, float, float]:
    """Share of the base's N@10 kept, leakage, hard-label AUC, with everything protected."""
    row = next(row for row in point["by_mask"] if set(row["sensitive"]) == set(point["attributes"]))
    return row["ndcg@10"] / row["base_ndcg@10"], row["leakage"], row["hard_label_auc"]


def swept(points: Sequence[Point], field: str) -> list[Point]:
    """The runs that differ in this field alone from the configuration, which is one of them, in order."""
    other = next(name for name in WEIGHTS if name != field)
    whole = [point for point in points if point["without"] == "none"]
    usual = max({point[other] for point in whole}, key=lambda value: sum(point[other] == value for point in whole))
    return sorted((point for point in whole if point[other] == usual), key=lambda point: point[field])


def _front(fronts: Mapping[str, Sequence[Point]], shown: Mapping[str, Sequence[Point]]) -> Any:
    figure, axes = plt.subplots(1, len(fronts), figsize=(4.6 * len(fronts), 3.4), squeeze=False)
    for place, (base, front) in zip(axes[0], fronts.items(), strict=True):
        leaked, kept = zip(*((figures(point)[1], figures(point)[0]) for point in front), strict=True)
        place.plot(leaked, kept, "o-", color=KEPT)
        for point, x, y in zip(front, leaked, kept, strict=True):
            place.annotate(f"λ {point['adversary_weight']:g}", (x, y), xytext=(5, -10), textcoords="offset points")
        for marker, (without, said) in zip("s^", list(USED.items())[1:], strict=True):
            for point in shown[base]:
                if point["without"] == without:
                    x, y = figures(point)[1::-1]
                    place.plot([x], [y], marker, color=LEAKED, label=said)
        place.margins(x=0.12)
        place.set(title=TITLES[base], xlabel="leakage (score AUC, strongest attacker)", ylabel="sampled N@10 kept")
        if place.get_legend_handles_labels()[1]:
            place.legend(frameon=False, fontsize=8)
    return figure


def _curves(panels: Sequence[tuple[str, str, Sequence[Point]]]) -> Any:
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.2), squeeze=False)
    for place, (base, field, runs) in zip(axes[0], panels, strict=True):
        _curve(place, runs, field)
        place.set(title=TITLES[base], xscale="log", xlabel=WEIGHTS[field])
    return figure


def _curve(place: Axes, points: Sequence[Point], field: str) -> None:
    weights = [point[field] for point in points]
    kept, leaked, hard = zip(*map(figures, points), strict=True)
    place.plot(weights, kept, "o-", color=KEPT)
    place.set_ylabel("N@10 kept", color=KEPT)
    right = place.twinx()
    right.grid(visible=False)
    right.plot(weights, leaked, "s-", color=LEAKED, label="score AUC")
    right.plot(weights, hard, "s:", color=LEAKED, label="hard-label AUC")
    right.set_ylabel("leakage", color=LEAKED)
    right.legend(frameon=False, fontsize=8)


def _table(shown: Mapping[str, Sequence[Point]]) -> str:
    lines = [
        "| base | λ | β | parts | N@10 kept | leakage (score AUC) | hard-label AUC |",
        "|---|---|---|---|---|---|---|",
    ]
    for base, points in shown.items():
        key = lambda point: (point["without"], point["alignment_weight"], point["adversary_weight"])  # noqa: E731
        for point in sorted(points, key=key):
            kept, leaked, hard = figures(point)
            weights = f"{point['adversary_weight']:g} | {point['alignment_weight']:g}"
            lines.append(
                f"| {TITLES[base]} | {weights} | {USED[point['without']]} | {kept:.1%} | {leaked:.3f} | {hard:.3f} |"
            )
    return "\n".join(lines) + "\n"
