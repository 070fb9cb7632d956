"""Tables and marks that more than one section is made of."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from measure.report import words
from measure.report.drawing import number as number_of
from measure.report.figures import Mark, Panel
from measure.report.page import Cell, Table
from measure.report.rows import SAMPLED, AccuracyRow, Card, LeakRow, Metric

Reference = Callable[[LeakRow], float | None]

LONG = 30
"""Rows from which a table is folded away on screen."""

TINT = "the deeper the tint, the more is recovered"
INTERVALS = ("interval", "95\u00a0% bootstrap interval")
PROTECTED = ("strong", "protected by this mask")
OPEN = ("weak", "not protected by this mask")


def name(text: str) -> Cell:
    """Make a cell of words."""
    return Cell(text)


def number(text: str, *, strong: bool = False, shade: float | None = None) -> Cell:
    """Make a cell of digits, aligned right."""
    return Cell(text, number=True, strong=strong, shade=shade)


def auc(value: float | None, *, strong: bool = False, shaded: bool = False) -> Cell:
    """Make a cell for an AUC; the tint runs from chance (none) to 1 (full)."""
    shade = min(max(2 * value - 1, 0.0), 1.0) if shaded and value is not None else None
    return number(words.auc(value), strong=strong, shade=shade)


def accuracy_table(caption: str, rows: Sequence[AccuracyRow], first: str, label: Callable[[AccuracyRow], str]) -> Table:
    """Lay out value and share kept of every metric measured, under the base's own numbers where all rows share them."""
    metrics = _metrics(rows)
    shared = all(a.base == b.base and a.n == b.n for a, b in pairwise(rows))
    columns = [first, "n"]
    for metric in metrics:
        columns += [words.capital(words.metric(*metric)), *([] if shared else ["unprotected"]), "kept"]
    body: list[list[Cell]] = []
    if shared and rows[0].base:
        base = rows[0].base
        line = [name("unprotected"), number(words.count(rows[0].n))]
        for metric in metrics:
            line += [number(words.score(base.get(metric))), number(words.share(1.0 if metric in base else None))]
        body.append(line)
    for row in rows:
        line = [name(label(row)), number(words.count(row.n))]
        for metric in metrics:
            line.append(number(words.score(row.values.get(metric))))
            if not shared:
                line.append(number(words.score(row.base.get(metric))))
            line.append(number(words.share(row.kept(metric)), strong=metric == SAMPLED))
        body.append(line)
    return Table(caption, columns, body)


def leak_table(
    caption: str,
    rows: Sequence[LeakRow],
    *,
    reference: Reference | None = None,
    target: str = "",
    masks: bool = True,
    folded: bool = False,
) -> Table:
    """Lay out one line per row, with its mask, the strongest attacker, interval, bound and, where wanted, a reference.

    ``target`` heads a column that says what was attacked; without it there is none. ``masks`` says whether the
    rows' masks are worth a column; where none protects anything they never are.
    """
    masks = masks and any(row.sensitive for row in rows)
    columns = [
        "Attribute",
        *(["Protected"] if masks else []),
        *([target] if target else []),
        "AUC",
        "95\u00a0% interval",
    ]
    columns += ["Permuted 95\u00a0%", "Above it", *(["Unprotected"] if reference else []), "Strongest attacker", "n"]
    body = []
    order = list(dict.fromkeys(row.attribute for row in rows))
    for row in sorted(rows, key=lambda row: order.index(row.attribute)):
        above = words.MISSING if row.bound is None else "yes" if row.auc > row.bound else "no"
        cells = [name(row.attribute), *([name(words.mask(row.sensitive))] if masks else [])]
        cells += [name(words.target(row.target))] if target else []
        cells += [auc(row.auc, strong=row.protected), number(words.interval(row.ci)), auc(row.bound), name(above)]
        cells += [auc(reference(row))] if reference else []
        body.append([*cells, name(words.attacker(row.attacker)), number(words.count(row.n))])
    return Table(caption, columns, body, folded=folded or len(body) > LONG)


def leak_mark(row: LeakRow, label: str, reference: float | None = None, *, strong: bool | None = None) -> Mark:
    """Draw one row; ``strong`` says otherwise than whether its mask protects it."""
    emphasis = row.protected if strong is None else strong
    return Mark(label, row.auc, words.auc(row.auc), row.ci, row.bound, reference, emphasis)


def by_attribute(card: Card, rows: Sequence[LeakRow]) -> list[tuple[str, list[LeakRow]]]:
    """Group rows by attribute, in manifest order."""
    grouped = [(each, [row for row in rows if row.attribute == each]) for each in card.attributes]
    return [(each, mine) for each, mine in grouped if mine]


def key_of(panels: Sequence[Panel], *more: tuple[str, str]) -> list[tuple[str, str]]:
    """Give the legend of the marks in these panels, and of no others."""
    marks = [mark for panel in panels for mark in panel.marks]
    lines = {number_of(panel.axis, panel.threshold) for panel in panels if panel.threshold is not None}
    lined = [("threshold", f"threshold {words.listed(sorted(lines))}")] if lines else []
    bound = ("bound", f"what {panels[0].bound} give (95\u00a0% point)" if panels else "")
    reference = ("reference", panels[0].reference if panels else "")
    carried = [(INTERVALS, "interval"), (bound, "bound"), (reference, "reference")]
    found = (entry for entry, field in carried if any(getattr(mark, field) is not None for mark in marks))
    return [*more, *found, *lined]


def _metrics(rows: Sequence[AccuracyRow]) -> list[Metric]:
    found = dict.fromkeys(metric for row in rows for metric in row.values)
    return sorted(found, key=lambda metric: ("sampled", "full").index(metric[0]))
