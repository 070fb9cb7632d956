"""Gaps between users that no attribute names: by activity, and inside each client."""

from collections.abc import Sequence

from measure.report import words
from measure.report.axes import over_zero
from measure.report.classes import rate_tables
from measure.report.estimates import against_chance, cells, choice, drawn, folded
from measure.report.fair_rows import Clients, Estimate
from measure.report.figures import Figure, Mark, Panel
from measure.report.page import Block, Section, Table
from measure.report.rows import Card
from measure.report.tables import OPEN, PROTECTED, key_of, name, number


def activity(card: Card) -> Section:
    """Show how much better the most active users are served."""
    rows = card.fairness.activity
    if not rows:
        return Section("activity", "", [])
    text = (
        "The most active users (the top 5 % by interactions) beside all others: how far their accuracies are apart. "
        "0 means that being active makes no difference."
    )
    known = list(dict.fromkeys(key for row in rows for group in (row.active, row.others) for key in group.values))
    bound = any(row.gap.bound is not None for row in rows)
    columns = ["Protected", "Gap", "95\u00a0% interval", *(["Shuffled 95\u00a0%", "Above it"] if bound else [])]
    for group in ("most active", "others"):
        columns += [*(f"{words.measure(key)}, {group}" for key in known), f"n, {group}"]
    body = []
    for row in rows:
        line = [name(words.mask(row.sensitive)), *cells(row.gap), *(against_chance(row.gap) if bound else ())]
        for each in (row.active, row.others):
            line += [*(number(words.score(each.values.get(key))) for key in known), number(words.count(each.n))]
        body.append(line)
    return Section(
        "activity", "Activity", [text, Table("Accuracy of the most active users and of others", columns, body)]
    )


def clients(card: Card) -> Section:
    """Show a difference over all users, and inside each client."""
    rows = card.fairness.clients
    if not rows:
        return Section("clients", "", [])
    kinds = words.listed(list(dict.fromkeys(row.clients for row in rows if row.clients)))
    text = (
        "The difference between classes in how often an item group is shown, over all users (global) and inside each "
        f"client alone (local){f'; a client is here one class of {kinds}' if kinds else ''}. 0 means no difference. "
        "Local well above global: differences that cancel out over everybody, or clients too small to measure well."
    )
    panels = _panels(rows)
    key, note = key_of(panels, PROTECTED, OPEN), choice(row.sensitive for row in rows)
    figure = [Figure("Global and local differences by mask", panels, key, note)] if panels else []
    blocks: list[Block] = [text, *figure, _client_table(rows)]
    lines = [([row.attribute, words.mask(row.sensitive)], each) for row in rows for each in row.by_client]
    blocks += rate_tables("Differences inside each client", ["Attribute", "Protected", "Client"], lines)
    return Section("clients", "Clients", blocks)


def _panels(rows: Sequence[Clients]) -> list[Panel]:
    """Draw the global difference under each mask beside the largest local one."""
    known = [(row, row.overall, row.local.get("max")) for row in rows if row.overall is not None]
    axis = over_zero(end for _, overall, local in known for end in (overall, local))
    panels = []
    for attribute, kind in dict.fromkeys((row.attribute, row.clients) for row, _, _ in known):
        mine = [
            (found[0].sensitive, found)
            for found in known
            if (found[0].attribute, found[0].clients) == (attribute, kind)
        ]
        marks = []
        for mask, (row, overall, local) in drawn(mine, attribute):
            label = f"{words.protecting(mask)} · {row.item_group}".removesuffix(" · ")
            marks.append(Mark(label, overall, words.decimal(overall), reference=local, strong=attribute in mask))
        note = f"inside each {kind}" if kind else ""
        panels.append(Panel(attribute, note, "dot", axis, marks, reference="the largest local one"))
    return panels


def _client_table(rows: Sequence[Clients]) -> Table:
    known = list(dict.fromkeys(key for row in rows for key in row.local))
    bound = any(row.bound is not None for row in rows)
    columns = ["Attribute", "Protected", "Item group", "Global", *(f"Local, {key}" for key in known)]
    columns += [*(["Shuffled, max 95\u00a0%", "Above it"] if bound else []), "Clients", "n"]
    body = []
    for row in rows:
        line = [name(row.attribute), name(words.mask(row.sensitive)), name(row.item_group or words.MISSING)]
        line += [number(words.decimal(value)) for value in (row.overall, *(row.local.get(key) for key in known))]
        highest = row.local.get("max")
        line += against_chance(None if highest is None else Estimate(highest, bound=row.bound)) if bound else []
        people = sum(each.n or 0 for each in row.by_client) or None
        body.append([*line, number(words.count(len(row.by_client) or None)), number(words.count(people))])
    return Table("Global and local differences", columns, body, folded=folded(body))
