"""What protection costs: accuracy kept by mask, by group, for new users, and over the method's strength."""

from collections.abc import Sequence

from measure.report import words
from measure.report.axes import over_auc, over_marks, over_share
from measure.report.page import Block, Cell, Curve, Figure, Mark, Panel, Point, Section, Table
from measure.report.rows import FULL, SAMPLED, AccuracyRow, Card, FrontRow, Metric
from measure.report.tables import LONG, accuracy_table, auc, leak_table, name, number

TITLES = {SAMPLED: "Sampled N@10 kept", FULL: "Full N@10 kept"}


def by_mask(card: Card) -> Section:
    """Show accuracy under every mask."""
    if not card.accuracy:
        return Section("accuracy", "", [])
    panels = _panels([(words.mask(row.sensitive), row) for row in card.accuracy])
    table = accuracy_table("Accuracy by mask", card.accuracy, "Protected", lambda row: words.mask(row.sensitive))
    text = "How much of the unprotected accuracy is left when a request protects these attributes."
    return Section("accuracy", "Accuracy kept", [text, Figure("Accuracy kept by mask", panels), table])


def by_group(card: Card) -> Section:
    """Show, for every class of every attribute, what it keeps of its own accuracy."""
    rows = [row for row in card.accuracy if row.groups]
    if not rows:
        return Section("groups", "", [])
    shown = max(rows, key=lambda row: len(row.sensitive))
    overall = shown.kept(SAMPLED)
    plots = []
    for attribute, groups in shown.groups.items():
        marks = _marks([(group.label, group) for group in groups], SAMPLED, overall)
        plots.append((attribute, f"n {words.counts(group.n for group in groups)} per class", marks))
    axis = over_marks([mark for _, _, marks in plots for mark in marks])
    panels = [Panel(heading, note, "stem", axis, marks, "all users") for heading, note, marks in plots if marks]
    text = (
        "Each class is compared with its own unprotected accuracy; small classes swing widely. "
        f"With {words.sentence_mask(shown.sensitive)} protected, sampled N@10"
    )
    blocks: list[Block] = [text + _least(shown)]
    if panels:
        blocks.append(
            Figure(
                "Sampled N@10 kept by class",
                panels,
                [("reference", "all users together")] if overall is not None else [],
            )
        )
    return Section("groups", "Accuracy by group", [*blocks, _group_table(rows)])


def _least(row: AccuracyRow) -> str:
    """Name the class that keeps least."""
    groups = [(each.kept(SAMPLED), name, each) for name, groups in row.groups.items() for each in groups]
    known = [(kept, name, each) for kept, name, each in groups if kept is not None]
    if not known:
        return " kept was not measured."
    kept, attribute, least = min(known, key=lambda found: found[0])
    return f" is kept least by {attribute} {least.label}: {words.share(kept)} ({words.people(least.n)})."


def new_users(card: Card) -> Section:
    """Show users whom the base model never saw, their vectors folded in from history."""
    leaks = card.attacked("folded_in")
    if not leaks and not card.folded_in:
        return Section("new-users", "", [])
    blocks: list[Block] = [
        "Users that the base model never saw: their vector is computed from their history, then protected as any other."
    ]
    if card.folded_in:
        table = accuracy_table(
            "Accuracy of new users", card.folded_in, "Protected", lambda row: words.mask(row.sensitive)
        )
        blocks.append(table)
    if leaks:
        blocks.append(leak_table("Leakage of new users' fair vectors", leaks, reference=lambda row: row.base))
    return Section("new-users", "New users", blocks)


def front(card: Card) -> Section:
    """Show accuracy against leakage over the method's strength."""
    if not card.front:
        return Section("front", "", [])
    leaks = [value for row in card.front for value in row.leakage.values()]
    across, up = over_auc(leaks), over_share(row.sampled for row in card.front)
    curves = []
    for mask in dict.fromkeys(row.sensitive for row in card.front):
        rows = sorted((row for row in card.front if row.sensitive == mask), key=lambda row: row.strength)
        for attribute in mask:
            points = [
                Point(f"{row.strength:g}", row.leakage[attribute], row.sampled)
                for row in rows
                if attribute in row.leakage and row.sampled is not None
            ]
            note = f"{words.mask(mask)} protected"
            if points:
                curves.append(Curve(attribute, note, across, up, points))
    users = words.listed(sorted({row.users for row in card.front if row.users}))
    text = "What each strength of the method keeps and leaves; the better, the further up and to the left."
    text += f" Measured on {users} users, so it need not match the tables above." if users else ""
    blocks: list[Block] = [text, *([Figure("Accuracy kept and leakage by strength", curves)] if curves else [])]
    return Section("front", "Accuracy against leakage", [*blocks, _front_table(card)])


def _front_table(card: Card) -> Table:
    names = [each for each in card.attributes if any(each in row.leakage for row in card.front)]
    names += sorted({each for row in card.front for each in row.leakage} - set(names))
    counted = any(row.n is not None for row in card.front)
    columns = ["Protected", "Strength", "Sampled N@10 kept", "Full N@10 kept", *(f"{each}, AUC" for each in names)]
    columns += ["n"] if counted else []

    def line(row: FrontRow) -> list[Cell]:
        cells = [name(words.mask(row.sensitive)), number(f"{row.strength:g}")]
        cells += [number(words.share(row.sampled)), number(words.share(row.full))]
        cells += [auc(row.leakage.get(each), strong=each in row.sensitive) for each in names]
        return [*cells, *([number(words.count(row.n))] if counted else [])]

    return Table("Accuracy kept and leakage by strength", columns, [line(row) for row in card.front])


def _panels(rows: Sequence[tuple[str, AccuracyRow]]) -> list[Panel]:
    plots = [(metric, _marks(rows, metric)) for metric in TITLES]
    axis = over_marks([mark for _, marks in plots for mark in marks])
    note = f"n {words.counts(row.n for _, row in rows)}"
    return [Panel(TITLES[metric], note, "stem", axis, marks) for metric, marks in plots if marks]


def _marks(rows: Sequence[tuple[str, AccuracyRow]], metric: Metric, overall: float | None = None) -> list[Mark]:
    shares = [(label, row.kept(metric)) for label, row in rows]
    return [Mark(label, kept, words.share(kept), reference=overall) for label, kept in shares if kept is not None]


def _group_table(rows: Sequence[AccuracyRow]) -> Table:
    columns = ["Protected", "Attribute", "Class", "n"]
    for metric in (SAMPLED, FULL):
        columns += [words.capital(words.metric(*metric)), "unprotected", "kept"]
    body = []
    for row in rows:
        for attribute, groups in row.groups.items():
            for group in groups:
                line = [
                    name(words.mask(row.sensitive)),
                    name(attribute),
                    name(group.label),
                    number(words.count(group.n)),
                ]
                for metric in (SAMPLED, FULL):
                    line += [number(words.score(group.values.get(metric))), number(words.score(group.base.get(metric)))]
                    line.append(number(words.share(group.kept(metric)), strong=metric == SAMPLED))
                body.append(line)
    return Table("Accuracy by class", columns, body, folded=len(body) > LONG)
