"""Two audits side by side: two bundles, or one before and after. Plain data in, plain data out.

Rows are matched by what they are of. A row that only one of the two has is there too, the other side null: what was not
measured is not zero, and a difference of it is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Row = Mapping[str, Any]
Key = tuple[Any, ...]
Found = Iterator[tuple[Key, Any]]
"""The subject of a row, and its number or estimate."""

ACCURACY = (("sampled", "ndcg@10"), ("sampled", "hit@10"), ("full", "ndcg@10"), ("full", "recall@20"))
ASKED = ("profile", "users", "seed")
"""Fields of a request that change the numbers of any bundle."""
NOT_MEASURED = frozenset({"sensitive", "attribute", "n", "clients", "item_group"})
"""Members of a fairness row that name its subject."""


def compare(first: Row, second: Row) -> dict[str, Any]:
    """Set two results of audits side by side.

    Args:
        first: a result, as `service.audit` stores it.
        second: another one; differences are this one less the first.

    Returns:
        ``differs`` (what was asked otherwise), ``verdict`` with what was ``not_judged`` in each, and rows of
        ``accuracy``, ``leakage`` and ``fairness``.
    """
    return {
        "differs": list(_differs(first["request"], second["request"])),
        "verdict": _verdicts(first, second),
        "accuracy": [
            {"sensitive": list(mask), "metric": metric, **_beside(values)}
            for (mask, metric), values in _matched(_accuracy(first), _accuracy(second))
        ],
        "leakage": [
            {"sensitive": list(mask), "attribute": attribute, "target": target, **_beside(values, "auc")}
            for (mask, attribute, target), values in _matched(_leakage(first), _leakage(second))
        ],
        "fairness": [
            {
                "section": section,
                "sensitive": list(mask),
                "attribute": attribute,
                "metric": metric,
                **_beside(values, "value"),
            }
            for (section, mask, attribute, metric), values in _matched(_fairness(first), _fairness(second))
        ],
    }


def _differs(first: Row, second: Row) -> Iterator[Row]:
    for what in ASKED:
        if first.get(what) != second.get(what):
            yield {"what": what, "first": first.get(what), "second": second.get(what)}


def _verdicts(first: Row, second: Row) -> Row:
    """Side by side; an attribute that a bundle has and its verdict does not speak of is not judged, and never null."""
    one, other = _by_attribute(first), _by_attribute(second)
    verdicts = first["verdict"], second["verdict"]
    accuracies = [verdict.get("accuracy", {}).get("verdict", "not_judged") for verdict in verdicts]
    return {
        "first": first["verdict"]["overall"],
        "second": second["verdict"]["overall"],
        "attributes": [
            {"attribute": name, "first": one.get(name), "second": other.get(name)}
            for name in dict.fromkeys([*one, *other])
        ],
        "accuracy": {"first": accuracies[0], "second": accuracies[1]},
        "not_judged": {
            side: list(verdict.get("not_judged", ()))
            for side, verdict in zip(("first", "second"), verdicts, strict=True)
        },
    }


def _by_attribute(result: Row) -> dict[str, str]:
    known = {each["name"]: "not_judged" for each in result["bundle"]["attributes"]}
    return known | {each["attribute"]: each["verdict"] for each in result["verdict"]["attributes"]}


def _accuracy(result: Row) -> Found:
    for row in result["card"].get("accuracy", {}).get("by_mask", ()):
        for kind, metric in ACCURACY:
            if metric in row.get(kind, {}):
                yield (tuple(row["sensitive"]), f"{kind} {metric}"), row[kind][metric]


def _leakage(result: Row) -> Found:
    for row in result["card"].get("leakage", {}).get("by_mask", ()):
        strongest = {name: row["strongest"][name] for name in ("auc", "ci95") if name in row["strongest"]}
        yield (tuple(row["sensitive"]), row["attribute"], row["target"]), strongest


def _fairness(result: Row) -> Found:
    """Every number of every row: estimates as they are, plain numbers as estimates without an interval."""
    for section, rows in result["card"].get("fairness", {}).items():
        if section == "protocol":
            continue
        for row in rows:
            for metric, value in _numbers(row):
                yield (section, tuple(row["sensitive"]), row.get("attribute"), metric), value


def _numbers(row: Row) -> Iterator[tuple[str, Row]]:
    for name, value in row.items():
        if name in NOT_MEASURED:
            continue
        if isinstance(value, Mapping) and "value" in value:
            if value["value"] is not None:
                yield name, {part: value[part] for part in ("value", "ci95") if part in value}
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{inner}", found) for inner, found in _numbers(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, {"value": value}


def _matched(first: Found, second: Found) -> Iterator[tuple[Key, tuple[Any, Any]]]:
    """(key, (first, second)) in the order of the first, then those that only the second has; None for a missing one."""
    one, other = dict(first), dict(second)
    for key in one | other:
        yield key, (one.get(key), other.get(key))


def _beside(values: tuple[Any, Any], of: str | None = None) -> Row:
    """Both, and the difference of their numbers: of the member with that name, or of the values themselves."""
    first, second = values
    if first is None or second is None:
        return {"first": first, "second": second, "difference": None}
    difference = second - first if of is None else second[of] - first[of]
    return {"first": first, "second": second, "difference": difference}
