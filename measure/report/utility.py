"""Utility of intersections of user groups from each item group, its evenness, and the errors of lists."""

import math
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import TypeVar

from measure.report import words
from measure.report.classes import WIDEST, pieces
from measure.report.estimates import axis_of, choice, folded, panel
from measure.report.fair_rows import ErrorGap, Estimate, Utility
from measure.report.figures import Figure
from measure.report.page import Block, Cell, Heading, Section, Table
from measure.report.rows import Card
from measure.report.tables import OPEN, PROTECTED, key_of, name, number

Value = TypeVar("Value")

SPREAD = ("cv", "min", "ucv", "icv")


def intersections(card: Card) -> Section:
    """Show utility by user group and item group, and its spread."""
    rows = card.fairness.utility
    if not rows:
        return Section("utility", "", [])
    blocks: list[Block] = []
    if maps := [row for row in rows if any(map(len, row.cells))]:
        widest = max(maps, key=lambda row: len(row.sensitive))
        blocks.append(
            "A cell is the share of held-out items of one item group that lists of one group of users hold: the mean "
            "over users who have such an item held out. Read along a line for what a group of users gets of each item "
            "group, down a column for who gets it; 0 means that nothing of it was found."
        )
        blocks += [*_maps(maps, widest, card.fairness.at_least), *_behind(widest)]
    if any(row.spread for row in rows):
        text = (
            "CV is the standard deviation of all cells over their mean, UCV the same down the columns (between users, "
            "then averaged), ICV along the lines (between item groups): 0 means that all get the same. MIN is the mean "
            "of the worst quarter of the cells: the higher, the better, 0 that they get nothing."
        )
        blocks += [Heading("How evenly"), text, _spread(rows)]
    if any(row.errors for row in rows):
        blocks += [Heading("Errors between classes"), _errors_text(rows), *_errors(rows)]
    return Section("utility", "Utility by intersection", blocks)


def _maps(maps: Sequence[Utility], widest: Utility, at_least: int | None) -> list[Block]:
    """Draw the widest mask's cells, the others' folded away; where all are withheld, only say so."""
    values = [value for row in maps for line in row.cells for value in line if value is not None]
    if not values:
        few = "too few" if at_least is None else f"fewer than {at_least}"
        return [f"Every cell is of {few} users: all are withheld."]
    top = max((value for value in values if not math.isnan(value)), default=0.0) or 1.0
    others = [row for row in maps if row is not widest]
    return [table for row in (widest, *others) for table in _heat(row, top, at_least, folded=row is not widest)]


def _heat(row: Utility, top: float, at_least: int | None, *, folded: bool) -> list[Block]:
    """Tint the cells by their value; the same tint means the same under every mask."""
    few = f"<{at_least}" if at_least is not None else "withheld"
    caption = f"{words.capital(words.measure(row.metric))}, {words.sentence_mask(row.sensitive)} protected"
    if any(value is None for line in row.cells for value in line):
        caption += f"; {few}: withheld" + (", too few users" if at_least is not None else "")
    legend = f"the deeper the tint, the more is found, up to {top:.2f}"
    return _grid(row, row.cells, caption, legend, folded, lambda value: _cell(value, top, few))


def _behind(row: Utility) -> list[Block]:
    """Say how sure each cell is, and how many users it is of."""
    found: list[Block] = []
    if any(map(len, row.intervals)):
        found += _grid(row, row.intervals, "95\u00a0% intervals of these cells", "", True, _interval, WIDEST // 2)
    caption = "Users with a held-out item of each group: those that a cell is of"
    return found + (_grid(row, row.positives, caption, "", True, _count) if any(map(len, row.positives)) else [])


def _grid(
    row: Utility,
    cells: Sequence[Sequence[Value]],
    caption: str,
    legend: str,
    folded: bool,
    write: Callable[[Value | float], Cell],
    most: int = WIDEST,
) -> list[Block]:
    """Lay out cells by user group and item group, under the sizes of both."""
    width = max(map(len, cells))
    columns = [each.label for each in row.items[:width]]
    columns += [f"group {place + 1}" for place in range(len(columns), width)]
    sizes = [each.n for each in row.items[:width]]
    sizes += [None] * (width - len(sizes))
    found: list[Block] = []
    for part, piece in pieces(range(width), most):
        body = []
        for line, who in zip_longest(cells, row.users[: len(cells)]):
            padded = [*line, *[math.nan] * (width - len(line))]
            first = [name(who.label if who else words.MISSING), number(words.count(who.n if who else None))]
            body.append([*first, *(write(padded[place]) for place in part)])
        if any(size is not None for size in sizes):
            counted = [number(words.count(sizes[place])) for place in part]
            body.append([name("all, with a held-out item"), number(""), *counted])
        head = ["Users", "n", *(columns[place] for place in part)]
        found.append(Table(caption + piece, head, body, folded=folded, legend=legend, slim=True))
    return found


def _interval(value: tuple[float, float] | float | None) -> Cell:
    return number(words.interval(value) if isinstance(value, tuple) else words.MISSING)


def _count(value: float | None) -> Cell:
    return number(words.MISSING if value is None or math.isnan(value) else words.count(int(value)))


def _cell(value: float | None, top: float, few: str) -> Cell:
    if value is None:
        return Cell(few, number=True, withheld=True)
    if math.isnan(value):
        return number(words.MISSING)
    return number(f"{value:.2f}", shade=min(max(value / top, 0.0), 1.0))


def _spread(rows: Sequence[Utility]) -> Table:
    known = [key for key in SPREAD if any(key in row.spread for row in rows)]
    intervals = [key for key in known if any(row.spread[key].ci for row in rows if key in row.spread)]
    columns = ["Protected"]
    for key in known:
        columns += [words.measure(key), *(["95\u00a0% interval"] if key in intervals else [])]
    body = []
    for row in rows:
        line = [name(words.mask(row.sensitive))]
        for key in known:
            found = row.spread.get(key)
            line.append(number(words.decimal(found.value if found else None)))
            line += [number(words.interval(found.ci if found else None))] if key in intervals else []
        body.append([*line, number(words.count(sum(each.n or 0 for each in row.users) or None))])
    return Table("Spread of utility", [*columns, "n"], body)


def _errors_text(rows: Sequence[Utility]) -> str:
    found = {key.partition("@")[0] for row in rows for each in row.errors for key in each.values}
    text = (
        "E is the root of the difference between two classes in the share of wrong items in their lists, for the two "
        "classes furthest apart: 0 means equally many. The root makes small differences look large, so the difference "
        "itself is beside it."
    )
    return text + (" A is the difference between their mean errors of score." if "a" in found else "")


def _errors(rows: Sequence[Utility]) -> list[Block]:
    keys = list(dict.fromkeys(key for row in rows for each in row.errors for key in each.values))
    columns = ["Attribute", "Protected", "Between", *(words.capital(words.measure(key)) for key in keys), "n"]
    panels, body = [], []
    axis = axis_of(_e(each) for row in rows for each in row.errors)
    for attribute in dict.fromkeys(each.attribute for row in rows for each in row.errors):
        mine = [(row.sensitive, each) for row in rows for each in row.errors if each.attribute == attribute]
        if known := [(mask, gap) for mask, each in mine if (gap := _e(each))]:
            panels.append(panel(attribute, f"n {words.counts(each.n for _, each in mine)}", axis, known, attribute))
        for mask, each in mine:
            line = [name(attribute), name(words.mask(mask)), name(words.between(each.between))]
            values = [number(words.decimal(each.values.get(key))) for key in keys]
            body.append([*line, *values, number(words.count(each.n))])
    figure = (
        [Figure("E by mask", panels, key_of(panels, PROTECTED, OPEN), choice(row.sensitive for row in rows))]
        if panels
        else []
    )
    return [*figure, Table("Error gaps", columns, body, folded=folded(body))]


def _e(gap: ErrorGap) -> Estimate | None:
    """Give E@k as a number that can be drawn."""
    return next((Estimate(value) for key, value in gap.values.items() if key.startswith("e@")), None)
