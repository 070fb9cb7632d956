"""Small plots as inline SVG: one column wide, to stand side by side on a desk and below each other on a phone.

Every text is escaped where it enters. Colours are the style sheet's.
"""

from markupsafe import Markup

from measure.report import words
from measure.report.page import Axis, Curve, Mark, Panel, Point

WIDTH = 340
_EDGE = 8
_ROW = 38
_TRACK = 23
"""How far the track lies below its row's top; the label stands above it."""
_LABEL = 42
"""Characters of a label that fit beside its number."""


def draw(plot: Panel | Curve, ident: str) -> Markup:
    """Draw a plot; ``ident`` is unique in the page."""
    return _draw_panel(plot, ident) if isinstance(plot, Panel) else _draw_curve(plot, ident)


def swatch(kind: str) -> Markup:
    """Draw the legend's picture of one kind of mark."""
    shapes = {
        "strong": Markup('<circle class="strong" cx="14" cy="7" r="4.5"/>'),
        "weak": Markup('<circle class="weak" cx="14" cy="7" r="4.5"/>'),
        "bar strong": Markup('<rect class="bar strong" x="2" y="3" width="24" height="8"/>'),
        "bar weak": Markup('<rect class="bar weak" x="2" y="3" width="24" height="8"/>'),
        "interval": Markup('<line class="interval strong" x1="2" x2="26" y1="7" y2="7"/>'),
        "bound": Markup('<rect class="band" x="2" y="1" width="24" height="12"/>'),
        "reference": Markup('<path class="reference" d="M14 2l5 5-5 5-5-5z"/>'),
    }
    return Markup('<svg class="swatch" viewBox="0 0 28 14" width="28" height="14" aria-hidden="true">{}</svg>').format(
        shapes[kind]
    )


def _draw_panel(panel: Panel, ident: str) -> Markup:
    height = _ROW * len(panel.marks) + 22
    body = [_grid(panel.axis, height - 20)]
    body += [_row(mark, panel, _ROW * index) for index, mark in enumerate(panel.marks)]
    said = "; ".join(f"{mark.label}: {mark.text}" for mark in panel.marks)
    return _frame(ident, height, f"{panel.heading}, {panel.note}", said, Markup("").join(body))


def _row(mark: Mark, panel: Panel, top: float) -> Markup:
    axis, y = panel.axis, top + _TRACK
    kind = "strong" if mark.strong else "weak"
    start, end = _x(axis, axis.origin), _x(axis, mark.value)
    parts = [Markup("<title>{}</title>").format(_hover(mark, panel))]
    if mark.bound is not None:
        parts.append(_rect("band", start, _x(axis, mark.bound), y - 7, 14))
    parts.append(Markup('<line class="track" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_EDGE, WIDTH - _EDGE, y, y))
    if panel.shape == "bar":
        parts.append(_rect(f"bar {kind}", start, end, y - 4, 8))
    if panel.shape == "stem":
        parts.append(Markup('<line class="stem" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(start, end, y, y))
    if mark.interval is not None:
        low, high = (_x(axis, edge) for edge in mark.interval)
        whisker = f"{kind} over" if panel.shape == "bar" else kind
        parts.append(
            Markup('<line class="interval {}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                whisker, low, high, y, y
            )
        )
    if panel.shape != "bar":
        parts.append(Markup('<circle class="{}" cx="{:.1f}" cy="{}" r="4.5"/>').format(kind, end, y))
    if mark.reference is not None:
        x = _x(axis, mark.reference)
        parts.append(Markup('<path class="reference" d="M{:.1f} {}l5 5-5 5-5-5z"/>').format(x, y - 5))
    text = Markup('<text class="label {}" x="{}" y="{}">{}</text><text class="value {}" x="{}" y="{}">{}</text>')
    label = words.shorten(mark.label, _LABEL)
    parts.append(text.format(kind, _EDGE, top + 12, label, kind, WIDTH - _EDGE, top + 12, mark.text))
    return Markup("<g>{}</g>").format(Markup("").join(parts))


def _grid(axis: Axis, bottom: float) -> Markup:
    parts = []
    for index, tick in enumerate(axis.ticks):
        x = _x(axis, tick)
        anchor = "start" if index == 0 else "end" if index == len(axis.ticks) - 1 else "middle"
        at = {"start": x - _EDGE + 2, "end": x + _EDGE - 2}.get(anchor, x)
        kind = "grid origin" if abs(tick - axis.origin) < 1e-9 else "grid"
        line = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="16" y2="{}"/>').format(kind, x, x, bottom)
        label = Markup('<text class="tick" text-anchor="{}" x="{:.1f}" y="{}">{}</text>')
        parts += [line, label.format(anchor, at, bottom + 14, _tick(axis, tick))]
    return Markup("").join(parts)


def _draw_curve(curve: Curve, ident: str) -> Markup:
    top, bottom, left = 24, 214, 44
    span = WIDTH - left - _EDGE

    def place(point: Point) -> tuple[float, float]:
        x = left + span * _along(curve.across, point.x)
        return x, bottom - (bottom - top) * _along(curve.up, point.y)

    parts = []
    for tick in curve.up.ticks:
        y = bottom - (bottom - top) * _along(curve.up, tick)
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(left, WIDTH - _EDGE, y, y)
        label = Markup('<text class="tick" text-anchor="end" x="{}" y="{:.1f}">{}</text>')
        parts += [line, label.format(left - 6, y + 4, _tick(curve.up, tick))]
    for tick in curve.across.ticks:
        x = left + span * _along(curve.across, tick)
        line = Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(x, x, top, bottom)
        label = Markup('<text class="tick" text-anchor="middle" x="{:.1f}" y="{}">{}</text>')
        parts += [line, label.format(min(x, WIDTH - 12), bottom + 15, _tick(curve.across, tick))]
    parts.append(Markup('<text class="axis" x="0" y="11">sampled N@10 kept ↑</text>'))
    title = Markup('<text class="axis" x="{}" y="{}" text-anchor="end">leakage (AUC) →</text>')
    parts.append(title.format(WIDTH - _EDGE, bottom + 31))
    places = [place(point) for point in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(Markup('<polyline class="curve" points="{}"/>').format(path))
    parts += [_point(point, at) for point, at in zip(curve.points, places, strict=True)]
    parts += _labels(curve, places)
    said = "; ".join(
        f"strength {p.label}: leakage {p.x:.3f}, sampled N@10 kept {words.share(p.y)}" for p in curve.points
    )
    return _frame(ident, bottom + 38, f"{curve.heading}, {curve.note}", said, Markup("").join(parts))


def _point(point: Point, at: tuple[float, float]) -> Markup:
    hover = f"strength {point.label}: leakage {point.x:.3f}, sampled N@10 kept {words.share(point.y)}"
    shape = Markup('<g><title>{}</title><circle class="strong" cx="{:.1f}" cy="{:.1f}" r="4.5"/></g>')
    return shape.format(hover, *at)


def _labels(curve: Curve, places: list[tuple[float, float]]) -> list[Markup]:
    """Write strengths beside their points, leaving out those that would stand on another label or point."""
    parts: list[Markup] = []
    taken: list[tuple[float, float]] = []
    for point, (x, y) in zip(curve.points, places, strict=True):
        width = 7 * len(point.label)
        at = (x + 8, y + 13) if x + 9 + width < WIDTH else (WIDTH - width, y + 18)
        if any(abs(at[0] - other[0]) < 30 and abs(at[1] - other[1]) < 12 for other in taken):
            continue
        taken.append(at)
        parts.append(Markup('<text class="point" x="{:.1f}" y="{:.1f}">{}</text>').format(*at, point.label))
    return parts


def _frame(ident: str, height: float, title: str, said: str, body: Markup) -> Markup:
    return Markup(
        '<svg class="plot" role="img" aria-labelledby="{0}-t {0}-d" viewBox="0 0 {1} {2:.0f}">'
        '<title id="{0}-t">{3}</title><desc id="{0}-d">{4}</desc>{5}</svg>'
    ).format(ident, WIDTH, height, title, said, body)


def _hover(mark: Mark, panel: Panel) -> str:
    parts = [f"{mark.label}: {mark.text}"]
    parts += [f"95 % interval {words.interval(mark.interval)}"] if mark.interval else []
    parts += [f"permuted labels {words.auc(mark.bound)}"] if mark.bound is not None else []
    parts += [f"{panel.reference} {_number(panel.axis, mark.reference)}"] if mark.reference is not None else []
    return ", ".join(parts)


def _rect(kind: str, one: float, other: float, y: float, height: float) -> Markup:
    low, high = sorted((one, other))
    shape = Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>')
    return shape.format(kind, low, y, high - low, height)


def _number(axis: Axis, value: float) -> str:
    return words.share(value) if axis.percent else words.auc(value)


def _tick(axis: Axis, value: float) -> str:
    return f"{value * 100:.0f}\u00a0%" if axis.percent else f"{value:.2f}".rstrip("0").ljust(3, "0")


def _along(axis: Axis, value: float) -> float:
    return min(max((value - axis.low) / (axis.high - axis.low), 0.0), 1.0)


def _x(axis: Axis, value: float) -> float:
    return _EDGE + (WIDTH - 2 * _EDGE) * _along(axis, value)
