"""A spread: all classes of an attribute on one line, so that distances show."""

from markupsafe import Markup

from measure.report.drawing import FOOT, ROW, TRACK, across, frame, grid, number, rect, titles, track
from measure.report.figures import Line, Spread

FEW = 3
"""Classes up to which their dots are drawn full; more lie on each other, and shine through."""


def draw(spread: Spread, ident: str) -> Markup:
    """Draw a spread; ``ident`` is unique in the page."""
    height = ROW * len(spread.lines) + FOOT
    body = [grid(spread.axis, len(spread.lines))]
    body += [_line(line, spread, ROW * index) for index, line in enumerate(spread.lines)]
    said = "; ".join(f"{line.label}: {line.text}" for line in spread.lines)
    return frame(ident, height, f"{spread.heading}, {spread.note}", said, Markup("").join(body))


def _line(line: Line, spread: Spread, top: float) -> Markup:
    axis, y = spread.axis, top + TRACK
    parts = [track(y)]
    if line.band is not None:
        low, high = (across(axis, edge) for edge in line.band)
        said = f"{line.label}, {spread.band}: {number(axis, line.band[0])} to {number(axis, line.band[1])}"
        parts.append(Markup("<g><title>{}</title>{}</g>").format(said, rect("band", low, high, y - 7, 14)))
    places = [across(axis, dot.value) for dot in line.dots]
    if places:
        between = Markup('<line class="interval strong" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>')
        parts.append(between.format(min(places), max(places), y, y))
    kind, radius = ("strong", 4.5) if len(line.dots) <= FEW else ("strong one", 4)
    circle = Markup('<circle class="{}" cx="{:.1f}" cy="{}" r="{}"><title>{}</title></circle>')
    for dot, x in zip(line.dots, places, strict=True):
        parts.append(circle.format(kind, x, y, radius, f"{line.label}, {dot.label}: {dot.text}"))
    parts.append(titles("strong", top, line.label, line.text, size="small"))
    return Markup("<g>{}</g>").format(Markup("").join(parts))
