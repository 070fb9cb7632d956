"""Read a card. What is absent, null or not a finite number stays absent; a row without its number is no row."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from measure.report.plain import items, names, number, table, tables
from measure.report.rows import AccuracyRow, Attacker, Card, FrontRow, LeakRow, Mask, Metric
from measure.report.words import clean


def read(report: Mapping[str, Any]) -> Card:
    """Read the report's plain data."""
    bundle, card = table(report.get("bundle")), table(report.get("card"))
    accuracy, leakage = table(card.get("accuracy")), table(card.get("leakage"))
    leaks = tuple(_leaks(leakage.get("by_mask")))
    declared = [clean(entry.get("name", "")) for entry in tables(bundle.get("attributes"))]
    return Card(
        bundle=bundle,
        attributes=tuple(dict.fromkeys([*filter(None, declared), *(row.attribute for row in leaks)])),
        accuracy=tuple(_accuracy(row) for row in tables(accuracy.get("by_mask"))),
        folded_in=tuple(_accuracy(row) for row in tables(accuracy.get("folded_in"))),
        leakage=leaks,
        front=tuple(_front(card.get("front"))),
        accuracy_protocol=table(accuracy.get("protocol")),
        leakage_protocol=table(leakage.get("protocol")),
    )


def _count(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _pair(value: object) -> tuple[float, float] | None:
    ends = [number(end) for end in items(value)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]


def _metrics(value: Mapping[str, Any]) -> dict[Metric, float]:
    """Read the values under sampled and full, in that order."""
    pairs = (
        ((kind, clean(name)), number(x)) for kind in ("sampled", "full") for name, x in table(value.get(kind)).items()
    )
    return {metric: found for metric, found in pairs if found is not None}


def _accuracy(row: Mapping[str, Any], sensitive: Mask | None = None) -> AccuracyRow:
    mask = names(row.get("sensitive")) if sensitive is None else sensitive
    groups = {
        clean(name): tuple(_accuracy(entry, mask) for entry in tables(rows))
        for name, rows in table(row.get("groups")).items()
    }
    return AccuracyRow(
        mask, _count(row.get("n")), _metrics(row), _metrics(table(row.get("base"))), clean(row.get("class", "")), groups
    )


def _leaks(rows: object) -> Iterator[LeakRow]:
    for row in tables(rows):
        attackers = tuple(_attackers(table(row.get("attackers"))))
        strongest = table(row.get("strongest"))
        top = max(attackers, key=lambda found: found.auc, default=None)
        auc = number(strongest.get("auc"))
        if auc is None and top is None:
            continue
        yield LeakRow(
            sensitive=names(row.get("sensitive")),
            attribute=clean(row.get("attribute", "")),
            target=clean(row.get("target", "fair")),
            n=_count(row.get("n")),
            auc=auc if auc is not None else top.auc if top else math.nan,
            ci=_pair(strongest.get("ci95")) or (top.ci if top and auc is None else None),
            attacker=clean(strongest.get("attacker") or (top.name if top else "")),
            bound=number(row.get("permutation95")),
            base=number(row.get("base_auc")),
            attackers=attackers,
        )


def _attackers(found: Mapping[str, Any]) -> Iterator[Attacker]:
    for name, entry in found.items():
        values = table(entry)
        auc = number(values.get("auc"))
        if auc is not None:
            ways = number(values.get("cross_validated")), number(values.get("fitted_on_train"))
            yield Attacker(clean(name), auc, _pair(values.get("ci95")), *ways)


def _front(rows: object) -> Iterator[FrontRow]:
    for row in tables(rows):
        strength = number(row.get("strength"))
        if strength is None:
            continue
        leaks = ((clean(name), number(value)) for name, value in table(row.get("leakage")).items())
        yield FrontRow(
            strength=strength,
            sensitive=names(row.get("sensitive")),
            sampled=number(row.get("sampled_kept")),
            full=number(row.get("full_kept")),
            leakage={name: value for name, value in leaks if value is not None},
            users=clean(row.get("users", "")),
            n=_count(row.get("n")),
        )
