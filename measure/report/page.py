"""The pieces a report is made of. Text in them is plain: each writer escapes it in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass

from measure.report.figures import Figure
from measure.report.rows import Outcome


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    number: bool = False
    strong: bool = False
    """Set for the leakage of a protected attribute."""
    shade: float | None = None
    """How deep the cell is tinted, 0 to 1."""
    withheld: bool = False
    """Set where there is a number that is not told."""


@dataclass(frozen=True)
class Table:
    """Rows of cells under one header; a cell's kind follows its column."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    """Long or a mere repetition in numbers of the plot above: closed on screen, open in print."""
    legend: str = ""
    """The meaning of its tints, for writers that show them."""
    slim: bool = False
    """Many columns of short numbers: their names stand upright."""


@dataclass(frozen=True)
class Facts:
    """Terms and their meanings, or fields and their values."""

    rows: Sequence[tuple[str, str]]
    prose: bool = False


@dataclass(frozen=True)
class Bullets:
    """A plain list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Ruling:
    """The finding on one subject, as a word and a shape."""

    outcome: Outcome
    subject: str
    sentence: str


@dataclass(frozen=True)
class Rulings:
    """Findings side by side."""

    items: Sequence[Ruling]


Block = str | Heading | Table | Figure | Facts | Bullets | Rulings
"""A string is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A heading and the blocks under it; one without blocks is left out of the page."""

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
    ruling: Ruling | None
    """The overall finding, where there is a verdict."""
    warning: str
    tiles: Sequence[Tile]
    chapters: Sequence[tuple[str, Sequence[Section]]]
    """Sections by their subject."""

    @property
    def sections(self) -> list[Section]:
        """All of them, in order."""
        return [section for _, sections in self.chapters for section in sections]
