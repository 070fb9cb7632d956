"""The front: leakage across, accuracy kept upwards; the better, the further up and to the left."""

from collections.abc import Iterator
from typing import NamedTuple

from markupsafe import Markup

from measure.report import words
from measure.report.drawing import EDGE, WIDTH, along, frame, tick_text
from measure.report.figures import Curve, Point

TOP, BOTTOM, LEFT = 24, 214, 44
LETTER = 6.5
"""Width of a character of a point's label."""


class Place(NamedTuple):
    """Where something lies in the plot."""

    x: float
    y: float


def draw(curve: Curve, ident: str) -> Markup:
    """Draw a front; ``ident`` is unique in the page."""
    parts = [*_grid(curve), *_thresholds(curve)]
    places = [_place(curve, point) for point in curve.points]
    if curve.joined:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(Markup('<polyline class="curve" points="{}"/>').format(path))
    parts += [_point(curve, point, at) for point, at in zip(curve.points, places, strict=True)]
    if curve.base is not None:
        x, y = _place(curve, curve.base)
        shape = Markup('<g><title>{}</title><path class="reference" d="M{:.1f} {:.1f}l5 5-5 5-5-5z"/></g>')
        parts.append(shape.format(_said(curve, curve.base), x, y - 5))
    parts += _labels(curve, places)
    shown = [*curve.points, *([curve.base] if curve.base else [])]
    said = "; ".join(_said(curve, point) for point in shown)
    return frame(ident, BOTTOM + 38, f"{curve.heading}, {curve.note}", said, Markup("").join(parts))


def _place(curve: Curve, point: Point) -> Place:
    return Place(_x(curve, point.x), _y(curve, point.y))


def _x(curve: Curve, value: float) -> float:
    return LEFT + (WIDTH - LEFT - EDGE) * along(curve.across, value)


def _y(curve: Curve, value: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * along(curve.up, value)


def _grid(curve: Curve) -> Iterator[Markup]:
    for tick in curve.up.ticks:
        y = _y(curve, tick)
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH - EDGE, y, y)
        label = Markup('<text class="tick" text-anchor="end" x="{}" y="{:.1f}">{}</text>')
        yield line + label.format(LEFT - 6, y + 4, tick_text(curve.up, tick))
    for tick in curve.across.ticks:
        x = _x(curve, tick)
        line = Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(x, x, TOP, BOTTOM)
        label = Markup('<text class="tick" text-anchor="middle" x="{:.1f}" y="{}">{}</text>')
        yield line + label.format(min(x, WIDTH - 12), BOTTOM + 15, tick_text(curve.across, tick))
    yield Markup('<text class="axis" x="0" y="11">{} ↑</text>').format(curve.upwards)
    title = Markup('<text class="axis" x="{}" y="{}" text-anchor="end">leakage (AUC) →</text>')
    yield title.format(WIDTH - EDGE, BOTTOM + 31)


def _thresholds(curve: Curve) -> Iterator[Markup]:
    leakage, kept = curve.thresholds
    line = Markup('<line class="threshold" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
    if leakage is not None:
        x = _x(curve, leakage)
        yield line.format(x, x, TOP, BOTTOM)
    if kept is not None:
        y = _y(curve, kept)
        yield line.format(LEFT, WIDTH - EDGE, y, y)


def _point(curve: Curve, point: Point, at: Place) -> Markup:
    parts = [Markup("<title>{}</title>").format(_said(curve, point))]
    if point.interval is not None:
        low, high = (_x(curve, edge) for edge in point.interval)
        whisker = Markup('<line class="interval weak" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(whisker.format(low, high, at.y, at.y))
    parts.append(Markup('<circle class="strong" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(*at))
    return Markup("<g>{}</g>").format(Markup("").join(parts))


def _labels(curve: Curve, places: list[Place]) -> list[Markup]:
    """Write labels beside their points: where one would stand on another label or point elsewhere, or not at all."""
    parts: list[Markup] = []
    taken: list[tuple[float, float, float, float]] = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    for point, (x, y) in zip(curve.points, places, strict=True):
        width = LETTER * len(point.label)
        for left, base in ((x + 7, y + 13), (x + 7, y - 5), (x - 7 - width, y + 13), (x - 7 - width, y - 5)):
            box = (left, base - 9, left + width, base + 2)
            if left >= LEFT and box[2] <= WIDTH and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                parts.append(
                    Markup('<text class="point" x="{:.1f}" y="{:.1f}">{}</text>').format(left, base, point.label)
                )
                break
    return parts


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _said(curve: Curve, point: Point) -> str:
    ci = f" (95\u00a0% interval {words.interval(point.interval)})" if point.interval else ""
    return f"{point.said}: leakage {words.auc(point.x)}{ci}, {curve.upwards} {words.share(point.y)}"
