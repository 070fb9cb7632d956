"""Read a card's ``fairness``. A row without its number is no row."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from measure.report.fair_rows import (
    Activity,
    ClassRow,
    Clients,
    ColdGap,
    ErrorGap,
    Estimate,
    Exposure,
    Fairness,
    MaskRow,
    Parity,
    Utility,
    Withheld,
)
from measure.report.json_access import count, items, names, number, pair, table, tables
from measure.report.words import clean

Row = Mapping[str, Any]

_SPREAD = ("cv", "min", "ucv", "icv")


def read_fairness(value: object) -> Fairness:
    """Read every section that is there."""
    found = table(value)
    protocol = table(found.get("protocol"))
    return Fairness(
        protocol=protocol,
        reference=names(protocol["reference"]) if "reference" in protocol else None,
        item_groups=names(protocol.get("item_groups")),
        at_least=count(protocol.get("at_least")),
        withheld=tuple(
            Withheld(clean(row.get("attribute", "")), names(row.get("classes")), clean(row.get("reason", "")))
            for row in tables(protocol.get("withheld"))
        ),
        overlap=tuple(_by_mask(found.get("overlap"))),
        exposure=tuple(_exposure(found.get("exposure"))),
        parity=tuple(_parity(found.get("parity"))),
        utility=tuple(_utility(found.get("utility"))),
        activity=tuple(_activity(found.get("activity"))),
        clients=tuple(_clients(found.get("clients"))),
        calibration=tuple(_by_mask(found.get("calibration"))),
        catalogue=tuple(_by_mask(found.get("catalogue"))),
        cold=tuple(_by_mask([row for row in tables(found.get("cold")) if "attribute" not in row])),
        cold_gaps=tuple(_cold(found.get("cold"))),
    )


def _estimate(value: object) -> Estimate | None:
    """Read ``{"value", "ci95", ...}``, or a bare number."""
    entry = table(value) or {"value": value}
    found = number(entry.get("value"))
    if found is None:
        return None
    item = entry.get("item_group", entry.get("item", ""))
    item = f"row\u00a0{item}" if isinstance(item, int) else item
    ends, bound = pair(entry.get("ci95")), number(entry.get("permutation95"))
    return Estimate(found, ends, names(entry.get("between")), clean(item), bound)


def _estimates(row: Row, without: Collection[str] = ("sensitive", "n")) -> dict[str, Estimate]:
    pairs = ((clean(name), _estimate(value)) for name, value in row.items() if name not in without)
    return {name: found for name, found in pairs if found is not None}


def _numbers(row: Row, without: Collection[str] = ()) -> dict[str, float]:
    pairs = ((clean(name), number(value)) for name, value in row.items() if name not in without)
    return {name: found for name, found in pairs if found is not None}


def _by_mask(rows: object) -> Iterator[MaskRow]:
    for row in tables(rows):
        if values := _estimates(row):
            yield MaskRow(names(row.get("sensitive")), count(row.get("n")), values)


def _class(row: Row, label: str = "class") -> ClassRow:
    values, shares = _numbers(row, (label, "n", "positives")), _numbers(table(row.get("shares")))
    return ClassRow(clean(row.get(label, "")), count(row.get("n")), values, shares, count(row.get("positives")))


def _classes(rows: object, label: str = "class") -> tuple[ClassRow, ...]:
    return tuple(_class(row, label) for row in tables(rows))


def _exposure(rows: object) -> Iterator[Exposure]:
    for row in tables(rows):
        classes, variation = _classes(row.get("groups")), _estimate(row.get("total_variation"))
        if variation or any(each.values or each.shares for each in classes):
            yield Exposure(names(row.get("sensitive")), clean(row.get("attribute", "")), classes, variation)


def _cold(rows: object) -> Iterator[ColdGap]:
    for row in tables(rows):
        classes, gap = _classes(row.get("groups")), _estimate(row.get("gap"))
        if gap or any(each.values for each in classes):
            yield ColdGap(names(row.get("sensitive")), clean(row.get("attribute", "")), classes, gap)


def _parity(rows: object) -> Iterator[Parity]:
    for row in tables(rows):
        found = [_estimate(row.get(name)) for name in ("demographic", "opportunity", "differential")]
        classes = _classes(row.get("groups"))
        if any(found) or any(each.values or each.shares for each in classes):
            yield Parity(names(row.get("sensitive")), clean(row.get("attribute", "")), classes, *found)


def _utility(rows: object) -> Iterator[Utility]:
    for row in tables(rows):
        metric = next((name for name in row if str(name).startswith("utility")), "utility")
        cells, positives = _cells(row.get(metric)), _cells(row.get("positives"))
        errors = tuple(map(_error, tables(row.get("errors"))))
        spread = {name: found for name in _SPREAD if (found := _estimate(row.get(name)))}
        if any(map(len, cells)) or spread or errors:
            users, groups = _classes(row.get("users"), "group"), _classes(row.get("items"), "group")
            intervals = tuple(tuple(map(pair, items(line))) for line in items(row.get("ci95")))
            sensitive = names(row.get("sensitive"))
            yield Utility(sensitive, clean(metric), users, groups, cells, intervals, positives, spread, errors)


def _error(row: Row) -> ErrorGap:
    values = _numbers(row, ("attribute", "between", "n"))
    return ErrorGap(clean(row.get("attribute", "")), names(row.get("between")), count(row.get("n")), values)


def _cells(rows: object) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(map(_cell, items(line))) for line in items(rows))


def _cell(value: object) -> float | None:
    if value is None:
        return None
    found = number(value)
    return math.nan if found is None else found


def _activity(rows: object) -> Iterator[Activity]:
    for row in tables(rows):
        if gap := _estimate(row.get("gap")):
            groups = (_class(table(row.get(name))) for name in ("active", "others"))
            yield Activity(names(row.get("sensitive")), gap, *groups)


def _clients(rows: object) -> Iterator[Clients]:
    for row in tables(rows):
        attribute, kind, item = (clean(row.get(name, "")) for name in ("attribute", "clients", "item_group"))
        overall, local = number(row.get("global")), _numbers(table(row.get("local")), ("permutation95",))
        bound, by_client = (
            number(table(row.get("local")).get("permutation95")),
            _classes(row.get("by_client"), "client"),
        )
        few = names(row.get("withheld"))
        if overall is not None or local or by_client:
            yield Clients(names(row.get("sensitive")), attribute, kind, item, overall, local, bound, by_client, few)
