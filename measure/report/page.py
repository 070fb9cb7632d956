"""The pieces a report is made of. Text in them is plain: each writer escapes it in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    number: bool = False
    strong: bool = False
    """Set for what a protected attribute leaks."""
    shade: float | None = None
    """How deep the cell is tinted, 0 to 1."""


@dataclass(frozen=True)
class Table:
    """Rows of cells under one header; a cell's kind follows its column."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    """Long or a mere repetition in numbers of the plot above: closed on screen, open in print."""
    legend: str = ""
    """What its tints mean, for writers that show them."""


@dataclass(frozen=True)
class Mark:
    """One line of a panel: a label, a number, and where it lies."""

    label: str
    value: float
    text: str
    interval: tuple[float, float] | None = None
    bound: float | None = None
    """Right end of the shaded band that starts at the axis' origin."""
    reference: float | None = None
    strong: bool = True


@dataclass(frozen=True)
class Axis:
    """What a panel is drawn over."""

    low: float
    high: float
    ticks: Sequence[float]
    origin: float
    """Where bars start: chance for an AUC, the base for accuracy kept."""
    percent: bool = False


@dataclass(frozen=True)
class Panel:
    """A small plot of some numbers on one axis."""

    heading: str
    note: str
    shape: Literal["dot", "bar", "stem"]
    axis: Axis
    marks: Sequence[Mark]
    reference: str = "unprotected"
    """What the marks' references are."""


@dataclass(frozen=True)
class Point:
    """One strength on the front: leakage across, accuracy kept upwards."""

    label: str
    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """Points joined in order of strength."""

    heading: str
    note: str
    across: Axis
    up: Axis
    points: Sequence[Point]


@dataclass(frozen=True)
class Figure:
    """Small plots side by side that share one reading key."""

    title: str
    panels: Sequence[Panel | Curve]
    key: Sequence[tuple[str, str]] = ()
    """(kind of mark, what it means), for the legend."""
    note: str = ""
    """Which of the measured numbers are drawn, where not all are."""


@dataclass(frozen=True)
class Facts:
    """Terms and what they mean, or fields and their values."""

    rows: Sequence[tuple[str, str]]
    prose: bool = False


@dataclass(frozen=True)
class Bullets:
    """A plain list."""

    items: Sequence[str]


Block = str | Table | Figure | Facts | Bullets
"""A string is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; one without blocks is left out of the page."""

    slug: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Tile:
    """One number to be seen first."""

    label: str
    value: str
    note: str


@dataclass(frozen=True)
class Page:
    """A whole report."""

    kicker: str
    headline: str
    lead: Sequence[str]
    warning: str
    tiles: Sequence[Tile]
    sections: Sequence[Section]
