"""The parts of every plot: frame, grid, ticks, and the position of a value. Every text is escaped where it enters."""

from markupsafe import Markup

from measure.report import words
from measure.report.figures import Axis

WIDTH = 340
EDGE = 8
ROW = 38
TRACK = 23
"""How far a track lies below its row's top; the label stands above it."""
BELOW = 16
"""How far below its row's top a label ends."""
FOOT = 22
"""Room for the ticks below the last row."""
LETTERS = 52
"""Characters that fit beside each other above a track."""


def frame(ident: str, height: float, title: str, said: str, body: Markup) -> Markup:
    """Wrap a plot with its name, and with its content in words; ``ident`` is unique in the page."""
    return Markup(
        '<svg class="plot" role="img" aria-labelledby="{0}-t {0}-d" viewBox="0 0 {1} {2:.0f}">'
        '<title id="{0}-t">{3}</title><desc id="{0}-d">{4}</desc>{5}</svg>'
    ).format(ident, WIDTH, height, title, said, body)


def grid(axis: Axis, rows: int) -> Markup:
    """Draw an axis' ticks as lines beside the tracks of ``rows`` rows, none through their labels; numbers below."""
    parts = []
    bottom = ROW * rows + 2
    for index, tick in enumerate(axis.ticks):
        x = across(axis, tick)
        anchor = "start" if index == 0 else "end" if index == len(axis.ticks) - 1 else "middle"
        at = {"start": x - EDGE + 2, "end": x + EDGE - 2}.get(anchor, x)
        kind = "grid origin" if abs(tick - axis.origin) < 1e-9 else "grid"
        line = Markup('<path class="{}" d="{}"/>').format(kind, beside_tracks(x, rows))
        label = Markup('<text class="tick" text-anchor="{}" x="{:.1f}" y="{}">{}</text>')
        parts += [line, label.format(anchor, at, bottom + 14, tick_text(axis, tick))]
    return Markup("").join(parts)


def beside_tracks(x: float, rows: int) -> str:
    """Draw down at ``x``, and leave out the strip of each row that its label stands in: the path of a line."""
    tops = [ROW * row for row in range(rows)]
    return "".join(f"M{x:.1f} {top + BELOW}V{top + ROW + (2 if top == tops[-1] else 0)}" for top in tops)


def track(y: float) -> Markup:
    """Draw the line that one row's marks lie on."""
    return Markup('<line class="track" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(EDGE, WIDTH - EDGE, y, y)


def titles(kind: str, top: float, label: str, text: str, *, size: str = "") -> Markup:
    """Write a row's label at the left, and its number at the right, cut to what fits."""
    label = words.shorten(label, max(LETTERS - len(text), 10))
    line = Markup('<text class="label {}" x="{}" y="{}">{}</text><text class="value {}" x="{}" y="{}">{}</text>')
    return line.format(kind, EDGE, top + 12, label, size or kind, WIDTH - EDGE, top + 12, text)


def rect(kind: str, one: float, other: float, y: float, height: float) -> Markup:
    """Draw a bar between two places, in either order."""
    low, high = sorted((one, other))
    shape = Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>')
    return shape.format(kind, low, y, high - low, height)


def number(axis: Axis, value: float) -> str:
    """Write a value as its axis counts."""
    return words.share(value) if axis.percent else words.auc(value)


def ends(axis: Axis, interval: tuple[float, float]) -> str:
    """Write an interval as its axis counts."""
    return words.share_interval(interval) if axis.percent else words.interval(interval)


def tick_text(axis: Axis, value: float) -> str:
    """Write a tick."""
    return f"{value * 100:.0f}\u00a0%" if axis.percent else f"{value:.2f}".rstrip("0").ljust(3, "0")


def along(axis: Axis, value: float) -> float:
    """Position of a value on the axis, 0 to 1; a value outside is at the end."""
    return min(max((value - axis.low) / (axis.high - axis.low), 0.0), 1.0)


def across(axis: Axis, value: float) -> float:
    """Give the horizontal place of a value."""
    return EDGE + (WIDTH - 2 * EDGE) * along(axis, value)
