"""Read the verdict of an audit. A word that is none of the four judges nothing."""

from measure.report.json_access import count, names, number, pair, table, tables
from measure.report.rows import Judged, Outcome, Unjudged, Verdict, Worst
from measure.report.words import clean

OUTCOMES: tuple[Outcome, ...] = ("pass", "fail", "inconclusive", "not_judged")


def read_verdict(value: object) -> Verdict | None:
    """Read it; nothing where there is none."""
    found = table(value)
    if not found:
        return None
    thresholds = table(found.get("thresholds"))
    accuracy = table(found.get("accuracy"))
    return Verdict(
        overall=_word(found.get("overall")),
        reason=_text(found.get("reason")),
        leakage_at_most=number(thresholds.get("leakage_at_most")),
        kept_at_least=number(thresholds.get("kept_at_least")),
        attributes=tuple(_judged(row, _text(row.get("attribute")), "auc") for row in tables(found.get("attributes"))),
        accuracy=_judged(accuracy, "accuracy", "kept") if accuracy else None,
        not_judged=tuple(
            Unjudged(_text(row.get("of")) or "everything", _text(row.get("reason")), count(row.get("rows")))
            for row in tables(found.get("not_judged"))
        ),
    )


def _judged(row: object, subject: str, key: str) -> Judged:
    entry = table(row)
    worst = table(entry.get("worst"))
    value = number(worst.get(key))
    what = _text(worst.get("target", worst.get("metric")))
    found = None if value is None else Worst(names(worst.get("sensitive")), what, value, pair(worst.get("ci95")))
    return Judged(subject, _word(entry.get("verdict")), found, _text(entry.get("sentence")))


def _word(value: object) -> Outcome:
    return next((outcome for outcome in OUTCOMES if outcome == value), "not_judged")


def _text(value: object) -> str:
    return "" if value is None else clean(value)
