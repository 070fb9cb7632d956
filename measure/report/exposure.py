"""The exposure of user groups: shares of item groups by class, and the differences of classes."""

from collections.abc import Sequence

from measure.report import words
from measure.report.axes import over_zero
from measure.report.classes import item_groups, share_tables
from measure.report.estimates import against_chance, axis_of, between, cells, choice, folded, panel
from measure.report.fair_rows import ClassRow, Exposure
from measure.report.figures import Dot, Figure, Line, Spread
from measure.report.page import Block, Section, Table
from measure.report.rows import Card
from measure.report.tables import OPEN, PROTECTED, key_of, name, number

MOST = 20
"""Item groups that are drawn; of more, those in which classes differ most."""
NAMED = 13
"""Letters of a class beside its share."""


def by_class(card: Card) -> Section:
    """Show the item groups that each class is shown."""
    rows = card.fairness.exposure
    if not rows:
        return Section("exposure", "", [])
    text = (
        "Exposure is the share that an item group has of what a class is shown, high ranks counting more. Total "
        "variation is the share that would have to move to other item groups for two classes to be shown the same mix; "
        "told of the two classes furthest apart. 0 means that all classes are shown the same mix. Classes may differ "
        "in what they like, so 0 is not a goal by itself: look at what a mask changes."
    )
    groups = item_groups(card, (each for row in rows for each in row.classes))
    blocks: list[Block] = [text, *_variation(rows), *_shares(rows, groups)]
    for attribute in dict.fromkeys(row.attribute for row in rows):
        mine = [
            ([words.mask(row.sensitive)], each) for row in rows if row.attribute == attribute for each in row.classes
        ]
        caption = f"Exposure by class of {attribute}, in\u00a0%"
        blocks += share_tables(caption, ["Protected", "Class"], mine, groups)
    return Section("exposure", "Exposure by user group", blocks)


def _variation(rows: Sequence[Exposure]) -> list[Block]:
    known = [(row, row.variation) for row in rows if row.variation is not None]
    if not known:
        return []
    axis = axis_of(found for _, found in known)
    panels, body = [], []
    for attribute in dict.fromkeys(row.attribute for row, _ in known):
        mine = [(row, found) for row, found in known if row.attribute == attribute]
        note = f"n {words.counts(_people(row) for row, _ in mine)}"
        panels.append(panel(attribute, note, axis, [(row.sensitive, found) for row, found in mine], attribute))
        for row, found in mine:
            line = [name(attribute), name(words.mask(row.sensitive)), *cells(found), *against_chance(found)]
            body.append([*line, between(found), number(words.count(_people(row)))])
    columns = ["Attribute", "Protected", "Total variation", "95\u00a0% interval", "Shuffled 95\u00a0%", "Above it"]
    table = Table("Total variation of exposure", [*columns, "Between", "n"], body, folded=folded(body))
    note = choice(row.sensitive for row, _ in known)
    figure = Figure(
        "Total variation of exposure between classes, by mask", panels, key_of(panels, PROTECTED, OPEN), note
    )
    return [figure, table]


def _shares(rows: Sequence[Exposure], groups: Sequence[str]) -> list[Block]:
    """Draw the exposure of classes under the widest mask, in front of that under the narrowest."""
    masks = sorted(dict.fromkeys(row.sensitive for row in rows), key=len)
    narrowest, widest = masks[0], masks[-1]
    shown = [row for row in rows if row.sensitive == widest]
    before = {row.attribute: row for row in rows if row.sensitive == narrowest and narrowest != widest}
    ends = [value for row in (*shown, *before.values()) for each in row.classes for value in each.shares.values()]
    axis = over_zero(ends, percent=True)
    behind = f"with {words.sentence_mask(narrowest)} protected"
    spreads = []
    for row in shown:
        lines = [_line(group, row, before.get(row.attribute)) for group in groups]
        lines = sorted((line for line in lines if line.dots), key=_width, reverse=True)[:MOST]
        note = f"{len(row.classes)} classes, n {words.counts(each.n for each in row.classes)}"
        if lines:
            spreads.append(Spread(row.attribute, note, axis, lines, behind))
    if not spreads:
        return []
    key = [("classes", "the classes; the two furthest apart are named")]
    key += [("bound", f"from the least to the most {behind}")] if before else []
    note = f"Drawn: exposure with {words.sentence_mask(widest)} protected, item groups with the widest gap first."
    return [Figure("Exposure of item groups by class", spreads, key, note)]


def _line(group: str, row: Exposure, before: Exposure | None) -> Line:
    known = [(each, each.shares[group]) for each in row.classes if group in each.shares]
    dots = [Dot(each.label, value, words.share(value)) for each, value in known]
    behind = [each.shares[group] for each in before.classes if group in each.shares] if before else []
    return Line(group, _extremes(known), dots, (min(behind), max(behind)) if behind else None)


def _extremes(known: Sequence[tuple[ClassRow, float]]) -> str:
    if not known:
        return words.MISSING
    ends = (min(known, key=lambda found: found[1]), max(known, key=lambda found: found[1]))
    low, high = ((words.shorten(each.label, NAMED), value) for each, value in ends)
    return f"{low[0]} {words.bare_share(low[1])} – {high[0]} {words.share(high[1])}"


def _width(line: Line) -> float:
    values = [dot.value for dot in line.dots]
    return max(values) - min(values)


def _people(row: Exposure) -> int | None:
    return sum(each.n or 0 for each in row.classes) or None
