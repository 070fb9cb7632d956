"""A panel: one number a row on one axis, as dots, bars or stems, with intervals, bounds and references."""

from markupsafe import Markup

from measure.report import words
from measure.report.drawing import (
    FOOT,
    ROW,
    TRACK,
    across,
    beside_tracks,
    ends,
    frame,
    grid,
    number,
    rect,
    titles,
    track,
)
from measure.report.figures import Mark, Panel


def draw(panel: Panel, ident: str) -> Markup:
    """Draw a panel; ``ident`` is unique in the page."""
    height = ROW * len(panel.marks) + FOOT
    body = [grid(panel.axis, len(panel.marks))]
    if panel.threshold is not None:
        body.append(_threshold(panel, panel.threshold))
    body += [_row(mark, panel, ROW * index) for index, mark in enumerate(panel.marks)]
    said = "; ".join(_hover(mark, panel) for mark in panel.marks)
    if panel.threshold is not None:
        said += f"; threshold {number(panel.axis, panel.threshold)}"
    return frame(ident, height, f"{panel.heading}, {panel.note}" if panel.note else panel.heading, said, _all(body))


def _threshold(panel: Panel, value: float) -> Markup:
    line = Markup('<g><title>{}</title><path class="threshold" d="{}"/></g>')
    path = beside_tracks(across(panel.axis, value), len(panel.marks))
    return line.format(f"threshold {number(panel.axis, value)}", path)


def _row(mark: Mark, panel: Panel, top: float) -> Markup:
    axis, y = panel.axis, top + TRACK
    kind = "strong" if mark.strong else "weak"
    start, end = across(axis, axis.origin), across(axis, mark.value)
    parts = [Markup("<title>{}</title>").format(_hover(mark, panel))]
    if mark.bound is not None:
        parts.append(rect("band", start, across(axis, mark.bound), y - 7, 14))
    parts.append(track(y))
    if panel.shape == "bar":
        parts.append(rect(f"bar {kind}", start, end, y - 4, 8))
    if panel.shape == "stem":
        parts.append(Markup('<line class="stem" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(start, end, y, y))
    if mark.interval is not None:
        low, high = (across(axis, edge) for edge in mark.interval)
        whisker = f"{kind} over" if panel.shape == "bar" else kind
        line = Markup('<line class="interval {}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>')
        parts.append(line.format(whisker, low, high, y, y))
    if panel.shape != "bar":
        parts.append(Markup('<circle class="{}" cx="{:.1f}" cy="{}" r="4.5"/>').format(kind, end, y))
    if mark.reference is not None:
        x = across(axis, mark.reference)
        parts.append(Markup('<path class="reference" d="M{:.1f} {}l5 5-5 5-5-5z"/>').format(x, y - 5))
    parts.append(titles(kind, top, mark.label, mark.text))
    return Markup("<g>{}</g>").format(_all(parts))


def _hover(mark: Mark, panel: Panel) -> str:
    parts = [f"{mark.label}: {mark.text}"]
    parts += [f"95\u00a0% interval {ends(panel.axis, mark.interval)}"] if mark.interval else []
    parts += [f"{panel.bound} {words.auc(mark.bound)}"] if mark.bound is not None else []
    parts += [f"{panel.reference} {number(panel.axis, mark.reference)}"] if mark.reference is not None else []
    return ", ".join(parts)


def _all(parts: list[Markup]) -> Markup:
    return Markup("").join(parts)
