"""The cost of protection: accuracy kept by mask, by group, and for users who are told apart, new and light ones."""

from collections.abc import Sequence

from measure.report import words
from measure.report.axes import over_marks
from measure.report.figures import Figure, Mark, Panel, Shape
from measure.report.json_access import count, table
from measure.report.page import Block, Section, Table
from measure.report.rows import FULL, SAMPLED, AccuracyRow, Card, LeakRow, Metric
from measure.report.tables import LONG, accuracy_table, key_of, leak_table, name, number

TITLES = {SAMPLED: "Sampled N@10 kept", FULL: "Full N@10 kept"}


def by_mask(card: Card) -> Section:
    """Show accuracy under every mask."""
    if not card.accuracy:
        return Section("accuracy", "", [])
    panels = _panels([(words.mask(row.sensitive), row) for row in card.accuracy], card.kept_at_least)
    rows = accuracy_table("Accuracy by mask", card.accuracy, "Protected", lambda row: words.mask(row.sensitive))
    text = "How much of the unprotected accuracy is left when a request protects these attributes."
    figure = Figure("Accuracy kept by mask", panels, key_of(panels))
    return Section("accuracy", "Accuracy kept", [text, figure, rows, *_candidates(card)])


def _candidates(card: Card) -> list[Table]:
    """Tell the loss where the model orders only the items that an inner product proposed."""
    rows = [row for row in card.accuracy if row.candidates]
    if not rows:
        return []
    known = list(dict.fromkeys(metric for row in rows for metric in row.candidates))
    titles = {"held": "{} of the model's own list", "full_without": "Full {} were every item a candidate"}
    columns = ["Protected", *(titles[kind].format(words.measure(metric)) for kind, metric in known), "n"]
    body = []
    for row in rows:
        cells = [number(words.score(row.candidates.get(metric))) for metric in known]
        body.append([name(words.mask(row.sensitive)), *cells, number(words.count(row.n))])
    return [Table("Candidates, which alone the model's own scores order", columns, body)]


def by_group(card: Card) -> Section:
    """Show the share of its own accuracy that every class of every attribute keeps."""
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
    """Show users that the base model never saw, with vectors folded in from history."""
    text = "Users that the base model never saw: their vector is made of their history, and protected as it is asked."
    return _apart("new users", text, card.folded_in, card.attacked("folded_in"))


def light_users(card: Card) -> Section:
    """Show the users with the fewest interactions."""
    most = count(table(card.leakage_protocol.get("light")).get("interactions_at_most"))
    text = "A third of the audit users, those with the fewest interactions"
    text += f": at most {words.count(most)}. " if most is not None else ". "
    text += "Their attackers learn among such users, too. They are in all other numbers as well."
    if card.leakage_at_most is not None:
        text += " A leakage over the threshold keeps the audit from passing, and fails it where all of its interval is."
    return _apart("light users", text, card.light, card.attacked("light"))


def _apart(who: str, text: str, accuracy: Sequence[AccuracyRow], leaks: Sequence[LeakRow]) -> Section:
    """Accuracy and leakage of some users alone."""
    slug = who.replace(" ", "-")
    if not leaks and not accuracy:
        return Section(slug, "", [])
    blocks: list[Block] = [text]
    if accuracy:
        blocks.append(
            accuracy_table(f"Accuracy of {who}", accuracy, "Protected", lambda row: words.mask(row.sensitive))
        )
    if leaks:
        blocks.append(leak_table(f"Leakage of {who}' fair vectors", leaks, reference=lambda row: row.base))
    return Section(slug, words.capital(who), blocks)


def _panels(rows: Sequence[tuple[str, AccuracyRow]], threshold: float | None) -> list[Panel]:
    plots = [(metric, _marks(rows, metric)) for metric in TITLES]
    axis = over_marks([mark for _, marks in plots for mark in marks], threshold)
    note = f"n {words.counts(row.n for _, row in rows)}"
    shape: Shape = "dot" if any(mark.interval for _, marks in plots for mark in marks) else "stem"
    return [Panel(TITLES[metric], note, shape, axis, marks, threshold=threshold) for metric, marks in plots if marks]


def _marks(rows: Sequence[tuple[str, AccuracyRow]], metric: Metric, overall: float | None = None) -> list[Mark]:
    shares = [(label, row.kept(metric), row.kept_ci.get(metric)) for label, row in rows]
    return [
        Mark(label, kept, words.share(kept), ci, reference=overall) for label, kept, ci in shares if kept is not None
    ]


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
