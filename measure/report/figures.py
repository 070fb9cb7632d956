"""The plots of a report: their marks and axes. Text in them is plain: it is escaped where it is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Shape = Literal["dot", "bar", "stem"]


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
    """The axis of a panel."""

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
    shape: Shape
    axis: Axis
    marks: Sequence[Mark]
    reference: str = "unprotected"
    """The meaning of the marks' references."""
    bound: str = "permuted labels"
    """The method that gives the marks' bounds."""
    threshold: float | None = None
    """A line across all marks."""


@dataclass(frozen=True)
class Dot:
    """One class on a line that shows them all."""

    label: str
    value: float
    text: str


@dataclass(frozen=True)
class Line:
    """All classes of an attribute on one line."""

    label: str
    text: str
    dots: Sequence[Dot]
    band: tuple[float, float] | None = None
    """The shaded range behind them, for comparison."""


@dataclass(frozen=True)
class Spread:
    """Lines under each other over one axis: how far the classes are apart in each."""

    heading: str
    note: str
    axis: Axis
    lines: Sequence[Line]
    band: str
    """The meaning of the bands."""


@dataclass(frozen=True)
class Point:
    """One strength or mask on the front: leakage across, accuracy kept upwards."""

    label: str
    x: float
    y: float
    said: str
    """Its meaning, in words."""
    interval: tuple[float, float] | None = None
    """Of the leakage."""


@dataclass(frozen=True)
class Curve:
    """Leakage against accuracy kept."""

    heading: str
    note: str
    across: Axis
    up: Axis
    upwards: str
    """Which accuracy."""
    points: Sequence[Point]
    joined: bool = False
    """Whether the points follow each other."""
    base: Point | None = None
    """Where the unprotected user vector lies."""
    thresholds: tuple[float | None, float | None] = (None, None)
    """Of leakage and of accuracy: lines across the plot."""


Plot = Panel | Spread | Curve


@dataclass(frozen=True)
class Figure:
    """Small plots side by side that share one reading key."""

    title: str
    panels: Sequence[Plot]
    key: Sequence[tuple[str, str]] = ()
    """(kind of mark, meaning), for the legend."""
    note: str = ""
    """Which of the measured numbers are drawn, where not all are."""
