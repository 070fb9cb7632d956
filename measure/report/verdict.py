"""The verdict: overall on top of the page, then attribute by attribute, with the rows that it hangs on."""

from collections.abc import Callable, Sequence

from measure.report import words
from measure.report.axes import over_auc, over_share
from measure.report.figures import Figure, Mark, Panel
from measure.report.page import Block, Cell, Ruling, Rulings, Section, Table
from measure.report.rows import Card, Judged, Outcome, Verdict
from measure.report.tables import key_of, name, number


def overall(card: Card) -> Ruling | None:
    """Say the verdict in one line; nothing where there is none."""
    verdict = card.verdict
    if verdict is None:
        return None
    if verdict.overall == "not_judged":
        return Ruling("not_judged", "Verdict", words.sentence(verdict.reason or "no reason is given"))
    return Ruling(verdict.overall, "Verdict", _by_outcome(_all(verdict)))


def attributes(card: Card) -> Section:
    """Show what was found of each attribute, and of accuracy."""
    verdict = card.verdict
    if verdict is None:
        return Section("verdict", "", [])
    judged = _all(verdict)
    blocks: list[Block] = [*_not_judged(verdict), _rule(verdict)]
    if judged:
        blocks.append(Rulings([Ruling(each.outcome, each.subject, _sentence(each)) for each in judged]))
    if panels := _panels(verdict):
        blocks.append(Figure("The worst rows beside their thresholds", panels, key_of(panels)))
    return Section("verdict", "Verdict", [*blocks, *([_table(verdict)] if judged else [])])


def _all(verdict: Verdict) -> list[Judged]:
    return [*verdict.attributes, *([verdict.accuracy] if verdict.accuracy else [])]


_VERBS: tuple[tuple[Outcome, str, str], ...] = (
    ("fail", "fails", "fail"),
    ("not_judged", "is not judged", "are not judged"),
    ("inconclusive", "is inconclusive", "are inconclusive"),
    ("pass", "passes", "pass"),
)


def _by_outcome(judged: Sequence[Judged]) -> str:
    """Say who passes and who does not, the worst first."""
    said = []
    for outcome, one, several in _VERBS:
        subjects = [each.subject for each in judged if each.outcome == outcome]
        said += [f"{words.listed(subjects)} {one if len(subjects) == 1 else several}"] if subjects else []
    return words.sentence("; ".join(said)) if said else ""


def _not_judged(verdict: Verdict) -> list[Block]:
    """Say first what there is no verdict on."""
    body = [[name(each.subject), name(each.reason), number(words.count(each.rows))] for each in verdict.not_judged]
    return [Table("Not judged, and why", ["Of", "Reason", "Rows missing"], body)] if body else []


def _rule(verdict: Verdict) -> str:
    """Say what is demanded, and how an interval decides."""
    demands = []
    if verdict.leakage_at_most is not None:
        demands.append(f"protected attributes are recovered at an AUC of at most {verdict.leakage_at_most:g}")
    if verdict.kept_at_least is not None:
        demands.append(f"every mask keeps at least {verdict.kept_at_least * 100:g}\u00a0% of the unprotected accuracy")
    said = f"Demanded: {words.listed(demands)}. " if demands else ""
    said += (
        "Intervals decide: pass where all of the 95\u00a0% interval is on the good side of the threshold, fail where "
        "all of it is on the bad side, inconclusive where the threshold lies inside."
    )
    if not verdict.reason:
        return said
    some = any(each.outcome != "not_judged" for each in _all(verdict))
    what = "Not everything" if some else "Nothing"
    return f"{said} {what} was judged here: {words.sentence(verdict.reason, raised=False)}"


def _sentence(judged: Judged) -> str:
    """Give the sentence without the subject and without its verdict, where it begins with that: both stand above it."""
    rest = judged.sentence.removeprefix(f"{judged.subject}: ")
    for again in (f"{words.outcome(judged.outcome)}: ", f"{words.outcome(judged.outcome)}; "):
        rest = rest.removeprefix(again)
    return words.capital(rest)


def _panels(verdict: Verdict) -> list[Panel]:
    panels = []
    leaks = [(each, each.worst) for each in verdict.attributes if each.worst]
    if leaks:
        axis = over_auc(
            [*(end for _, worst in leaks for end in (worst.value, *(worst.ci or ()))), verdict.leakage_at_most]
        )
        marks = [Mark(_label(each), worst.value, words.auc(worst.value), worst.ci) for each, worst in leaks]
        panels.append(Panel("Leakage, AUC", "the worst row", "dot", axis, marks, threshold=verdict.leakage_at_most))
    if verdict.accuracy and (worst := verdict.accuracy.worst):
        axis = over_share([worst.value, *(worst.ci or ()), verdict.kept_at_least])
        marks = [Mark(_label(verdict.accuracy), worst.value, words.share(worst.value), worst.ci)]
        panels.append(Panel("Accuracy kept", "the worst row", "dot", axis, marks, threshold=verdict.kept_at_least))
    return panels


def _label(judged: Judged) -> str:
    return f"{judged.subject}: {words.outcome(judged.outcome)}"


def _table(verdict: Verdict) -> Table:
    columns = ["Judged", "Verdict", "Threshold", "Worst row", "95\u00a0% interval", "Protected there", "Measured on"]
    demand = words.MISSING if verdict.leakage_at_most is None else f"≤\u00a0{verdict.leakage_at_most:g}"
    body = [_line(each, demand, words.auc, words.interval, words.target) for each in verdict.attributes]
    if verdict.accuracy:
        demand = words.MISSING if verdict.kept_at_least is None else f"≥\u00a0{verdict.kept_at_least * 100:g}\u00a0%"
        body.append(_line(verdict.accuracy, demand, words.share, words.share_interval, words.named_metric))
    return Table("The row that each verdict hangs on", columns, body)


def _line(
    judged: Judged,
    demand: str,
    value: Callable[[float], str],
    interval: Callable[[tuple[float, float] | None], str],
    what: Callable[[str], str],
) -> list[Cell]:
    line = [name(judged.subject), name(words.outcome(judged.outcome)), number(demand)]
    worst = judged.worst
    if worst is None:
        return [*line, *[number(words.MISSING)] * 2, *[name(words.MISSING)] * 2]
    line += [number(value(worst.value)), number(interval(worst.ci))]
    return [*line, name(words.mask(worst.sensitive)), name(what(worst.what) or words.MISSING)]
