"""Whether classes are shown item groups equally often, and whether their lists hit equally often."""

from collections.abc import Sequence

from measure.report import words
from measure.report.classes import item_groups, rate_tables, share_tables
from measure.report.estimates import against_chance, axis_of, between, cells, choice, folded, panel
from measure.report.fair_rows import Estimate, Parity
from measure.report.figures import Figure
from measure.report.page import Block, Heading, Section, Table
from measure.report.rows import Card
from measure.report.tables import OPEN, PROTECTED, key_of, name, number

Known = Sequence[tuple[Parity, Estimate]]


def by_class(card: Card) -> Section:
    """Show the differences between classes, each with the pair that it is between."""
    rows = card.fairness.parity
    if not rows:
        return Section("parity", "", [])
    blocks: list[Block] = []
    if known := [(row, row.demographic) for row in rows if row.demographic]:
        text = (
            "How much more often one class has an item group in its list than another: the share of users of the one "
            "less that of the other, for the item group and the two classes where it is largest. 0 means that every "
            "item group is in the lists of all classes equally often."
        )
        blocks += [
            Heading("Demographic difference"),
            text,
            *_drawn("Demographic difference", "Difference", known, "Item group"),
        ]
    if known := [(row, row.opportunity) for row in rows if row.opportunity]:
        text = (
            "How much more often the list of one class holds the user's held-out item than that of another, for the "
            "two classes furthest apart. 0 means that lists hit equally often for all."
        )
        blocks += [Heading("Opportunity difference"), text, *_drawn("Opportunity difference", "Difference", known)]
    if known := [(row, row.differential) for row in rows if row.differential]:
        text = (
            "The largest ratio between two classes of the chance to be shown an item, as its natural logarithm: 0 "
            "means equal chances, 0.7 about twice the chance, 1.1 three times. One item decides it, and small classes "
            "make it large by chance alone."
        )
        blocks += [Heading("Differential fairness"), text, *_drawn("Differential fairness", "ε", known, "Item")]
    lines = [([words.mask(row.sensitive), row.attribute], each) for row in rows for each in row.classes]
    blocks += rate_tables("Hits by class", ["Protected", "Attribute", "Class"], lines)
    groups = item_groups(card, (each for row in rows for each in row.classes))
    for attribute in dict.fromkeys(row.attribute for row in rows):
        mine = [
            ([words.mask(row.sensitive)], each) for row in rows if row.attribute == attribute for each in row.classes
        ]
        caption = f"Users of each class of {attribute} who have an item group in their list, in\u00a0%"
        blocks += share_tables(caption, ["Protected", "Class"], mine, groups)
    return Section("parity", "Parity between classes", blocks)


def _drawn(title: str, value: str, known: Known, item: str = "") -> list[Block]:
    """Draw a difference by mask, above its table; ``item`` heads the column of its subjects."""
    axis = axis_of(found for _, found in known)
    bound = any(found.bound is not None for _, found in known)
    panels, body = [], []
    for attribute in dict.fromkeys(row.attribute for row, _ in known):
        mine = [(row, found) for row, found in known if row.attribute == attribute]
        note = f"n {words.counts(_people(row) for row, _ in mine)}"
        panels.append(panel(attribute, note, axis, [(row.sensitive, found) for row, found in mine], attribute))
        for row, found in mine:
            line = [name(attribute), name(words.mask(row.sensitive)), *cells(found)]
            line += [*(against_chance(found) if bound else ()), *([name(found.item or words.MISSING)] if item else ())]
            body.append([*line, between(found), number(words.count(_people(row)))])
    columns = ["Attribute", "Protected", value, "95\u00a0% interval"]
    columns += [*(["Shuffled 95\u00a0%", "Above it"] if bound else []), *([item] if item else []), "Between", "n"]
    note = choice(row.sensitive for row, _ in known)
    figure = Figure(f"{title} by mask", panels, key_of(panels, PROTECTED, OPEN), note)
    return [figure, Table(title, columns, body, folded=folded(body))]


def _people(row: Parity) -> int | None:
    return sum(each.n or 0 for each in row.classes) or None
