"""Accuracy against leakage: one point a mask, and one a strength of the method."""

from collections.abc import Mapping, Sequence

from measure.report import words
from measure.report.axes import over_auc, over_share
from measure.report.drawing import number as number_of
from measure.report.figures import Axis, Curve, Figure, Point
from measure.report.page import Block, Cell, Section, Table
from measure.report.rows import FULL, SAMPLED, AccuracyRow, Card, FrontRow, LeakRow, Metric
from measure.report.tables import auc, name, number

UPWARDS = {SAMPLED: "sampled N@10 kept", FULL: "full N@10 kept"}

Paid = tuple[AccuracyRow, dict[str, LeakRow]]
"""One mask: its accuracy, and the leakage of its protected attributes."""


def front(card: Card) -> Section:
    """Show accuracy and leakage of masks, and of strengths."""
    blocks = [*_by_mask(card), *_by_strength(card)]
    return Section("front", "Accuracy against leakage", blocks)


def _by_mask(card: Card) -> list[Block]:
    """Draw each mask by its accuracy and the leakage of its protected attributes; one alone is no front."""
    found = [(row, _protected(card, row)) for row in card.accuracy if row.sensitive]
    metric = next((m for m in (FULL, SAMPLED) if any(row.kept(m) is not None for row, _ in found)), SAMPLED)
    masks = [(row, leaks) for row, leaks in found if leaks and row.kept(metric) is not None]
    if len(masks) < 2:
        return []
    short = _short([*dict.fromkeys(each for row, _ in masks for each in row.sensitive)])
    curves = _curves(card, masks, metric, short)
    text = (
        "Each point is a mask: how well what it protects can still be recovered from the fair vector, and how much "
        "accuracy it keeps; the better, the further up and to the left."
    )
    told = [f"{letters} {attribute}" for attribute, letters in short.items()]
    key = [("strong", f"a mask ({', '.join(told)})"), ("weak interval", "95\u00a0% bootstrap interval of the leakage")]
    key += [("reference", "unprotected")] if any(curve.base for curve in curves) else []
    lines = [number_of(axis, value) for axis, value in _lines(curves[0]) if value is not None]
    key += [("threshold", f"threshold {words.listed(lines)}")] if lines else []
    return [text, Figure("Accuracy kept and leakage by mask", curves, key), _mask_table(masks, short)]


def _protected(card: Card, row: AccuracyRow) -> dict[str, LeakRow]:
    rows = ((each, card.find("fair", each, row.sensitive)) for each in row.sensitive)
    return {each: leak for each, leak in rows if leak is not None}


def _curves(card: Card, masks: Sequence[Paid], metric: Metric, short: Mapping[str, str]) -> list[Curve]:
    """One plot of the attribute recovered best under each mask, and one of each attribute."""
    names = [each for each in card.attributes if any(each in leaks for _, leaks in masks)]
    ends = [end for _, leaks in masks for leak in leaks.values() for end in (leak.auc, *(leak.ci or ()))]
    near = over_auc([*ends, card.leakage_at_most])
    across = over_auc([*ends, *map(card.unprotected, names), card.leakage_at_most])
    kept = card.kept_at_least
    up = over_share([*(row.kept(metric) for row, _ in masks), kept])
    thresholds = card.leakage_at_most, kept

    def point(row: AccuracyRow, leak: LeakRow) -> Point:
        label = "+".join(short[each] for each in row.sensitive)
        said = f"{words.mask(row.sensitive)} protected, {leak.attribute}"
        return Point(label, leak.auc, row.kept(metric) or 0.0, said, leak.ci)

    plots = []
    if len(names) > 1:
        worst = [point(row, _best_recovered(leaks)) for row, leaks in masks]
        note = "of those protected"
        plots.append(Curve("best recovered", note, near, up, UPWARDS[metric], worst, thresholds=thresholds))
    for each in names:
        base = card.unprotected(each)
        points = [point(row, leaks[each]) for row, leaks in masks if each in leaks]
        origin = None if base is None else Point("", base, 1.0, f"unprotected, {each}")
        note = f"n {words.counts(leaks[each].n for _, leaks in masks if each in leaks)}"
        plots.append(Curve(each, note, across, up, UPWARDS[metric], points, base=origin, thresholds=thresholds))
    return plots


def _best_recovered(leaks: Mapping[str, LeakRow]) -> LeakRow:
    return max(leaks.values(), key=lambda leak: leak.auc)


def _lines(curve: Curve) -> list[tuple[Axis, float | None]]:
    return list(zip((curve.across, curve.up), curve.thresholds, strict=True))


def _short(names: Sequence[str]) -> dict[str, str]:
    """Shorten names to as few letters as tell them apart."""
    found = {}
    for each in names:
        sizes = (k for k in range(1, len(each)) if not any(o != each and o.startswith(each[:k]) for o in names))
        found[each] = each[: next(sizes, len(each))]
    return found


def _mask_table(masks: Sequence[Paid], short: Mapping[str, str]) -> Table:
    columns = ["Protected", "Label", "Sampled N@10 kept", "Full N@10 kept", "Best recovered of those", "AUC"]
    columns += ["95\u00a0% interval", "n"]
    body = []
    for row, leaks in masks:
        leak = _best_recovered(leaks)
        label = "+".join(short[each] for each in row.sensitive)
        cells = [name(words.mask(row.sensitive)), name(label), number(words.share(row.kept(SAMPLED)))]
        cells += [number(words.share(row.kept(FULL))), name(leak.attribute), auc(leak.auc, strong=True)]
        body.append([*cells, number(words.interval(leak.ci)), number(words.count(leak.n))])
    return Table("Accuracy kept and leakage by mask", columns, body)


def _by_strength(card: Card) -> list[Block]:
    """Draw accuracy and leakage of each strength of the method, where training measured several."""
    if not card.front:
        return []
    leaks = [value for row in card.front for value in row.leakage.values()]
    across, up = over_auc(leaks), over_share(row.sampled for row in card.front)
    curves = []
    for mask in dict.fromkeys(row.sensitive for row in card.front):
        rows = sorted((row for row in card.front if row.sensitive == mask), key=lambda row: row.strength)
        for attribute in mask:
            points = [
                Point(f"{row.strength:g}", row.leakage[attribute], row.sampled, f"strength {row.strength:g}")
                for row in rows
                if attribute in row.leakage and row.sampled is not None
            ]
            note = f"{words.mask(mask)} protected"
            if points:
                curves.append(Curve(attribute, note, across, up, UPWARDS[SAMPLED], points, joined=True))
    users = words.listed(sorted({row.users for row in card.front if row.users}))
    text = "What each strength of the method keeps and leaves; the better, the further up and to the left."
    text += f" Measured on {users} users, so it need not match the tables above." if users else ""
    drawn = [Figure("Accuracy kept and leakage by strength", curves)] if curves else []
    return [text, *drawn, _strength_table(card)]


def _strength_table(card: Card) -> Table:
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
