"""Read a card. Values that are absent, null or not finite stay absent; a row without its number is left out."""

import math
from collections.abc import Container, Iterator, Mapping
from typing import Any

from measure.report.fair_reading import read_fairness
from measure.report.fair_rows import Mask
from measure.report.json_access import count, items, names, number, pair, table, tables
from measure.report.rows import AccuracyRow, Attacker, Card, FrontRow, LeakRow, Metric, TraceRow
from measure.report.verdict_reading import read_verdict
from measure.report.words import clean

KINDS = ("sampled", "full")
"""Of accuracy."""


def read(report: Mapping[str, Any]) -> Card:
    """Read the report's plain data."""
    bundle, card = table(report.get("bundle")), table(report.get("card"))
    accuracy, leakage = table(card.get("accuracy")), table(card.get("leakage"))
    leaks = tuple(_leaks(leakage.get("by_mask")))
    unkept = {clean(each.get("metric", "")) for each in tables(table(accuracy.get("protocol")).get("not_measured"))}
    declared = [clean(entry.get("name", "")) for entry in tables(bundle.get("attributes"))]
    return Card(
        bundle=bundle,
        attributes=tuple(dict.fromkeys([*filter(None, declared), *(row.attribute for row in leaks)])),
        accuracy=tuple(_accuracy(row, unkept) for row in tables(accuracy.get("by_mask"))),
        folded_in=tuple(_accuracy(row, unkept) for row in tables(accuracy.get("folded_in"))),
        light=tuple(_accuracy(row, unkept) for row in tables(accuracy.get("light"))),
        leakage=leaks,
        traces=tuple(_traces(table(leakage.get("trace")).get("by_mask"))),
        front=tuple(_front(card.get("front"))),
        accuracy_protocol=table(accuracy.get("protocol")),
        leakage_protocol=table(leakage.get("protocol")),
        fairness=read_fairness(card.get("fairness")),
        verdict=read_verdict(report.get("verdict")),
        request=table(report.get("request")),
        run=table(report.get("measured")),
        merged_users=dict(_merged_users(card.get("merged_classes"))),
        modalities=tuple(tables(card.get("modalities"))),
        cold_items=table(card.get("cold_items")),
    )


def _merged_users(value: object) -> Iterator[tuple[tuple[str, str], int]]:
    for attribute, classes in table(value).items():
        for name, merged in table(classes).items():
            users = count(table(merged).get("users"))
            if users is not None:
                yield (clean(attribute), clean(name)), users


def _metrics(value: Mapping[str, Any]) -> dict[Metric, float]:
    """Read the values under sampled and full, in that order."""
    pairs = (((kind, clean(name)), number(x)) for kind in KINDS for name, x in table(value.get(kind)).items())
    return {metric: found for metric, found in pairs if found is not None}


def _accuracy(row: Mapping[str, Any], unkept: Container[str], sensitive: Mask | None = None) -> AccuracyRow:
    """Read one set of users; of a kind in ``unkept`` there is no base, so that nothing is said to be kept of it."""
    mask = names(row.get("sensitive")) if sensitive is None else sensitive
    groups = {
        clean(name): tuple(_accuracy(entry, unkept, mask) for entry in tables(rows))
        for name, rows in table(row.get("groups")).items()
    }
    return AccuracyRow(
        mask,
        count(row.get("n")),
        _metrics(row),
        {metric: value for metric, value in _metrics(table(row.get("base"))).items() if metric[0] not in unkept},
        clean(row.get("class", "")),
        groups,
        _candidates(table(row.get("candidates"))),
        _kept(table(row.get("kept"))),
    )


def _kept(row: Mapping[str, Any]) -> dict[Metric, tuple[float, float]]:
    entries = (((kind, clean(name)), table(x)) for kind in KINDS for name, x in table(row.get(kind)).items())
    pairs = ((metric, pair(entry.get("ci95"))) for metric, entry in entries)
    return {metric: found for metric, found in pairs if found is not None}


def _candidates(row: Mapping[str, Any]) -> dict[Metric, float]:
    found = (("held", row), ("full_without", table(row.get("full_without"))))
    pairs = (((kind, clean(name)), number(value)) for kind, values in found for name, value in values.items())
    return {metric: value for metric, value in pairs if value is not None}


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
            n=count(row.get("n")),
            auc=auc if auc is not None else top.auc if top else math.nan,
            ci=pair(strongest.get("ci95")) or (top.ci if top and auc is None else None),
            attacker=clean(strongest.get("attacker") or (top.name if top else "")),
            bound=number(row.get("permutation95")),
            base=number(row.get("base_auc")),
            attackers=attackers,
            groups=names(row.get("groups")) if any(len(names(each)) > 1 for each in items(row.get("classes"))) else (),
        )


def _attackers(found: Mapping[str, Any]) -> Iterator[Attacker]:
    for name, entry in found.items():
        values = table(entry)
        auc = number(values.get("auc"))
        if auc is not None:
            ways = [number(values.get(way)) for way in ("cross_validated", "fitted_on_train", "fitted_on_both")]
            yield Attacker(clean(name), auc, pair(values.get("ci95")), *ways)


def _traces(rows: object) -> Iterator[TraceRow]:
    for row in tables(rows):
        auc = number(row.get("auc"))
        if auc is not None:
            whose = names(row.get("sensitive")), clean(row.get("attribute", "")), count(row.get("n"))
            yield TraceRow(*whose, auc, pair(row.get("ci95")), number(row.get("base_auc")))


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
            n=count(row.get("n")),
        )
