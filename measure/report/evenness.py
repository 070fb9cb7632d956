"""Whether lists follow the taste of users, how evenly they use the catalogue, and what they show of new items."""

from collections.abc import Sequence

from measure.report import words
from measure.report.classes import rate_tables
from measure.report.estimates import against_chance, between, cells, folded
from measure.report.fair_rows import MaskRow
from measure.report.page import Block, Section, Table
from measure.report.rows import Card
from measure.report.tables import name, number


def calibration(card: Card) -> Section:
    """Show how far lists are from histories, and from an even mix."""
    text = (
        "User KL: how far the mix of item groups in a list is from the mix in that user's own history, on average; 0 "
        "means the same mix. System KL: how far all lists together are from an even mix of item groups; 0 means even."
    )
    return _section("calibration", "Calibration", text, card.fairness.calibration)


def catalogue(card: Card) -> Section:
    """Show how much of the catalogue is recommended, and how evenly."""
    text = (
        "Coverage: the share of all items that is in at least one list; 0 would be none, 1 is every item. Gini: how "
        "unevenly the places go to items; 0 means equally many to each, 1 all to one."
    )
    return _section("catalogue", "Coverage and concentration", text, card.fairness.catalogue)


def cold(card: Card) -> Section:
    """Show how often items that nobody has touched are shown, and to whom."""
    text = (
        "Cold items are those that nobody had touched: they are served by their features alone. Exposure: their share "
        "of all that is shown, high ranks counting more. Listed: the share of users whose list has one. The gap is "
        "between the two classes whose exposures are furthest apart. 0 means that nobody is shown any."
    )
    told = _section("cold", "Cold items in lists", text, card.fairness.cold)
    blocks: list[Block] = [*told.blocks]
    gaps = [(row, row.gap) for row in card.fairness.cold_gaps if row.gap is not None]
    body = [
        [name(row.attribute), name(words.mask(row.sensitive)), *cells(gap), *against_chance(gap), between(gap)]
        for row, gap in gaps
    ]
    if body:
        columns = ["Attribute", "Protected", "Gap", "95\u00a0% interval", "Shuffled 95\u00a0%", "Above it", "Between"]
        blocks.append(Table("Gaps between classes in exposure of cold items", columns, body, folded=folded(body)))
    lines = [
        ([row.attribute, words.mask(row.sensitive)], each) for row in card.fairness.cold_gaps for each in row.classes
    ]
    blocks += rate_tables("Cold items by class", ["Attribute", "Protected", "Class"], lines)
    return Section(told.slug, told.title, blocks)


def _section(slug: str, title: str, text: str, rows: Sequence[MaskRow]) -> Section:
    if not rows:
        return Section(slug, "", [])
    known = sorted(dict.fromkeys(key for row in rows for key in row.values), key=lambda key: key == "system_kl")
    intervals = {key for key in known if any(key in row.values and row.values[key].ci for row in rows)}
    counted = any(row.n is not None for row in rows)
    columns = ["Protected"]
    for key in known:
        columns += [words.capital(words.measure(key)), *(["95\u00a0% interval"] if key in intervals else [])]
    body = []
    for row in rows:
        line = [name(words.mask(row.sensitive))]
        for key in known:
            found = row.values.get(key)
            line.append(number(words.decimal(found.value if found else None)))
            line += [number(words.interval(found.ci if found else None))] if key in intervals else []
        body.append([*line, *([number(words.count(row.n))] if counted else [])])
    return Section(slug, title, [text, Table(title, [*columns, *(["n"] if counted else [])], body)])
