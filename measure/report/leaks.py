"""Attributes that can still be recovered from fair vectors and from their parts."""

from measure.report import words
from measure.report.axes import over_leaks
from measure.report.figures import Figure, Mark, Panel
from measure.report.page import Cell, Section, Table
from measure.report.rows import Card
from measure.report.tables import OPEN, PROTECTED, TINT, auc, by_attribute, key_of, leak_mark, leak_table, name, number

MANY_MASKS = 8
"""Masks up to which a panel draws them all; beyond, those that protect its attribute and the empty one."""


def fair_vectors(card: Card) -> Section:
    """Show the vector that is searched with, by mask and attribute."""
    rows = card.attacked("fair")
    if not rows:
        return Section("leakage", "", [])
    axis = over_leaks(rows, [*(card.unprotected(row.attribute) for row in rows), card.leakage_at_most])
    crowded = len(card.masks) > MANY_MASKS
    panels = []
    for attribute, mine in by_attribute(card, rows):
        drawn = [row for row in mine if row.protected or not row.sensitive or not crowded]
        marks = [leak_mark(row, words.protecting(row.sensitive), card.unprotected(attribute)) for row in drawn]
        note = f"n {words.counts(row.n for row in mine)}"
        panels.append(Panel(attribute, note, "dot", axis, marks, threshold=card.leakage_at_most))
    text = (
        "How well the strongest attacker recovers each attribute from the fair vector, the one that is searched with."
    )
    note = "Drawn: the masks that protect the attribute, and the empty one; the table has all." if crowded else ""
    figure = Figure("Leakage of the fair vector by mask", panels, key_of(panels, PROTECTED, OPEN), note)
    table = leak_table("Leakage of the fair vector", rows, reference=lambda row: card.unprotected(row.attribute))
    return Section("leakage", "Leakage of the fair vector", [text, figure, table])


def attackers(card: Card) -> Section:
    """Show every attacker on the protected attributes of the widest mask."""
    found = (card.find("fair", attribute, card.widest) for attribute in card.widest)
    rows = [row for row in found if row is not None and row.attackers]
    if not rows:
        return Section("attackers", "", [])
    axis = over_leaks(rows, [end for row in rows for each in row.attackers for end in (each.auc, *(each.ci or ()))])
    panels, body = [], []
    for row in rows:
        base = card.unprotected(row.attribute)
        marks = [
            Mark(
                words.attacker(each.name),
                each.auc,
                words.auc(each.auc),
                each.ci,
                row.bound,
                strong=each.name == row.attacker,
            )
            for each in row.attackers
        ]
        note = f"n {words.count(row.n)}" + (f", unprotected {words.auc(base)}" if base is not None else "")
        panels.append(Panel(row.attribute, note, "bar", axis, marks))
        for each in row.attackers:
            cells = [name(row.attribute), name(words.attacker(each.name))]
            cells += [auc(each.auc, strong=each.name == row.attacker), number(words.interval(each.ci))]
            cells += [
                auc(each.cross_validated),
                auc(each.fitted_on_train),
                auc(each.fitted_on_both),
                auc(row.bound),
                number(words.count(row.n)),
            ]
            body.append(cells)
    columns = [
        "Attribute",
        "Attacker",
        "AUC",
        "95\u00a0% interval",
        "cross-validated",
        "fitted on train",
        "on both",
        "Permuted 95\u00a0%",
        "n",
    ]
    text = (
        f"With {words.listed(card.widest)} protected. The AUC is the worst of the ways of fitting, below chance "
        "counted as above; the ways are given as they came out."
    )
    figure = Figure(
        "AUC by attacker", panels, key_of(panels, ("bar strong", "strongest attacker"), ("bar weak", "other attackers"))
    )
    return Section("attackers", "Attacker by attacker", [text, figure, Table("AUC by attacker", columns, body)])


def controls(card: Card) -> Section:
    """Show that the suite finds existing information and none in noise."""
    rows = card.attacked("base", "noise")
    if not rows:
        return Section("controls", "", [])
    text = (
        "A suite is worth what it finds where something is (unprotected user vectors should be well above chance, "
        "if they say anything of the attribute) and where nothing is (noise should lie within the bound)."
    )
    return Section(
        "controls", "Controls", [text, leak_table("Controls of the attacker suite", rows, target="Attacked")]
    )


def parts(card: Card) -> Section:
    """Show the information of each part on each attribute."""
    rows = [row for row in card.leakage if row.target.startswith("part:")]
    if not rows:
        return Section("parts", "", [])
    attributes = [attribute for attribute, _ in by_attribute(card, rows)]
    body: list[list[Cell]] = []
    for target in dict.fromkeys(row.target for row in rows):
        found = [
            next((row for row in rows if (row.target, row.attribute) == (target, each)), None) for each in attributes
        ]
        cells = [auc(row.auc if row else None, shaded=True) for row in found]
        people = number(words.counts(row.n for row in found if row))
        body.append([name(target.removeprefix("part:")), *cells, people])
    text = (
        "Each part of the user vector is attacked alone. The shared part is in every answer, so its line should be "
        "near chance. A part is withheld when its own attribute is protected, so it may name that one; what it says of "
        "others is still given away by requests that protect those and not this one."
    )
    matrix = Table("Which part gives which attribute away (AUC)", ["Part", *attributes, "n"], body, legend=TINT)
    detail = leak_table("Leakage of each part", rows, target="Part", folded=True)
    return Section("parts", "Cross-leakage between parts", [text, matrix, detail])


def traces(card: Card) -> Section:
    """Show what can be read of attributes' scores, a diagnostic over all users."""
    if not card.traces:
        return Section("trace", "", [])
    text = (
        "A diagnostic, not judged: whether a user's score for an attribute, learned from user vectors, is above the "
        "median is read from the fair vector. It needs no label of the users that it is read of, so all of them count "
        "and its error is small. Compare variants of one base model by it, which it orders as leakage does. It does "
        "not fall to 0.500 where an attribute is withheld: half of a score says nothing of the attribute."
    )
    body: list[list[Cell]] = [
        [name(words.mask(row.sensitive)), name(row.attribute), auc(row.auc, strong=True),
         number(words.interval(row.ci)), auc(row.base), number(words.count(row.n))]
        for row in card.traces
    ]  # fmt: skip
    columns = ["Protected", "Attribute", "AUC", "95\u00a0% interval", "unprotected", "n"]
    return Section("trace", "Scores left", [text, Table("Scores read from fair vectors", columns, body)])


def unprotected(card: Card) -> Section:
    """Show how much of an attribute is still there for requests that do not protect it."""
    rows = [row for row in card.attacked("fair") if not row.protected]
    kept = {(row.sensitive, row.attribute): _excess(row.auc, card.unprotected(row.attribute)) for row in rows}
    if not any(share is not None for share in kept.values()):
        return Section("unprotected", "", [])
    attributes = [attribute for attribute, _ in by_attribute(card, rows)]
    body = []
    for mask in (mask for mask in card.masks if any(row.sensitive == mask for row in rows)):
        cells = [number("protected" if each in mask else words.share(kept.get((mask, each)))) for each in attributes]
        people = words.counts(row.n for row in rows if row.sensitive == mask)
        body.append([name(words.mask(mask)), *cells, number(people)])
    text = (
        "What a request does not protect may stay. The share is AUC - 0.5 of the fair vector, divided by the same of "
        "the unprotected user vector: near 100 % the attribute is as present as before; well below, protecting one "
        "attribute also took away another."
    )
    table = Table("Excess AUC kept by attributes that are not protected", ["Protected", *attributes, "n"], body)
    return Section("unprotected", "Unprotected attributes", [text, table])


def _excess(value: float, base: float | None) -> float | None:
    """Share of the base's AUC above chance; absent where the base has next to none."""
    return (value - 0.5) / (base - 0.5) if base is not None and base >= 0.51 else None
