"""Numbers with intervals, by mask: marks, panels and cells that sections on lists and groups are made of."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from measure.report import words
from measure.report.axes import over_zero
from measure.report.fair_rows import Estimate, Mask
from measure.report.figures import Axis, Mark, Panel
from measure.report.page import Cell
from measure.report.tables import name, number

MANY_MASKS = 8
"""Masks up to which a panel draws them all; beyond, those that protect its attribute and the narrowest."""

CHANCE = "shuffled groups"
"""The method that gives the bounds of differences between classes."""

REPEATED = 12
"""Rows from which a table that repeats a figure is folded away."""

T = TypeVar("T")
Found = tuple[Mask, Estimate]


def axis_of(found: Iterable[Estimate | None]) -> Axis:
    """Hold these estimates with their intervals and bounds."""
    known = [each for each in found if each is not None]
    return over_zero(end for each in known for end in (each.value, each.bound, *(each.ci or ())))


def panel(heading: str, note: str, axis: Axis, rows: Sequence[Found], attribute: str | None = None) -> Panel:
    """Draw one estimate a mask; where an attribute is given, masks that protect it stand out."""
    marks = []
    for mask, each in drawn(rows, attribute):
        strong = attribute is None or attribute in mask
        text = words.decimal(each.value)
        marks.append(Mark(words.protecting(mask), each.value, text, each.ci, each.bound, strong=strong))
    return Panel(heading, note, "dot", axis, marks, bound=CHANCE)


def drawn(rows: Sequence[tuple[Mask, T]], attribute: str | None) -> Sequence[tuple[Mask, T]]:
    """Choose the masks to draw where there are many."""
    if len(rows) <= MANY_MASKS or attribute is None:
        return rows
    fewest = min(len(mask) for mask, _ in rows)
    return [(mask, each) for mask, each in rows if attribute in mask or len(mask) == fewest]


def choice(masks: Iterable[Mask]) -> str:
    """Name the choice of `drawn`, where there was one."""
    crowded = len(set(masks)) > MANY_MASKS
    return "Drawn: the masks that protect the attribute, and the narrowest; the table has all." if crowded else ""


def cells(found: Estimate | None) -> list[Cell]:
    """Write an estimate and its interval."""
    value, ci = (found.value, found.ci) if found else (None, None)
    return [number(words.decimal(value)), number(words.interval(ci))]


def against_chance(found: Estimate | None) -> list[Cell]:
    """Write the bound of an estimate, and whether it lies above."""
    if found is None or found.bound is None:
        return [number(words.MISSING), name(words.MISSING)]
    return [number(words.decimal(found.bound)), name("yes" if found.value > found.bound else "no")]


def between(found: Estimate | None) -> Cell:
    """Name the classes it is between."""
    return name(words.between(found.between) if found else words.MISSING)


def folded(rows: Sequence[object]) -> bool:
    """Say whether a table is folded away because a figure above it shows the same."""
    return len(rows) > REPEATED
