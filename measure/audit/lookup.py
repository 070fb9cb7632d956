"""Looks up in a card each row that a verdict needs: the rows found, and those missing with the reason."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from measure.audit.reasons import Reason
from measure.audit.scope import METRICS_OF_ACCURACY, Demand, Scope, Wanted
from measure.masks import Mask

Row = Mapping[str, Any]
ACCURACY = "accuracy"

_JUDGED = re.compile(r"fair|folded_in|light|protecting_masks|list@\d+|protecting_lists@\d+")
"""Targets that count where the attribute is protected, also under masks that no verdict has to cover."""


class Found(NamedTuple):
    """One row of a card that a verdict goes by."""

    sensitive: Mask
    what: str
    """The target attacked, or the kind and name of a metric."""
    value: float
    ci95: tuple[float, float]
    row: Row


class Missing(NamedTuple):
    """Why a row is not there."""

    code: Reason
    reason: str


@dataclass(frozen=True)
class LookedUp:
    """One subject: an attribute, or the accuracy."""

    subject: str
    found: Sequence[Found]
    missing: Mapping[Missing, int]
    """With how many rows each reason keeps away; nothing passes where there is any."""

    @property
    def why(self) -> str:
        """The missing rows, in words; empty where none is missing."""
        return "; ".join(each.reason for each in self.missing)


def leaks_of(card: Row, attribute: str, scope: Scope, wanted: Wanted) -> LookedUp:
    """The targets attacked while the attribute was protected, and those that should have been."""
    section = card.get("leakage", {})
    demands = list(scope.leaks(attribute, wanted.profile.lists))
    rows = (
        (tuple(row["sensitive"]), row["target"], row["strongest"]["auc"], row["strongest"]["ci95"], row)
        for row in section.get("by_mask", ())
        if row["attribute"] == attribute and attribute in row["sensitive"] and _JUDGED.fullmatch(row["target"])
    )
    told = [each for each in _told(section) if each["attribute"] == attribute]
    looked = _look_up(attribute, demands, rows, told, wanted)
    if demands:
        return looked
    nobody = Missing(Reason.NO_MASK, "no mask of this bundle protects it")
    return LookedUp(attribute, looked.found, {**looked.missing, nobody: 1})


def kept_of(card: Row, scope: Scope, wanted: Wanted) -> LookedUp:
    """The kept accuracy of every mask, and the rows of it that should have been measured."""
    section = card.get("accuracy", {})
    rows = (
        (tuple(row["sensitive"]), f"{kind} {metric}", kept["value"], kept["ci95"], row)
        for row in section.get("by_mask", ())
        for kind, metric in METRICS_OF_ACCURACY
        if (kept := row.get("kept", {}).get(kind, {}).get(metric)) is not None
    )
    return _look_up(ACCURACY, list(scope.accuracy()), rows, list(_told(section)), wanted)


def _told(section: Row) -> Iterator[Row]:
    """The measurements that a section of the card reports as impossible."""
    yield from section.get("protocol", {}).get("not_measured", ())


def _look_up(
    subject: str,
    demands: Sequence[Demand],
    rows: Iterable[tuple[Mask, str, float, Any, Row]],
    told: Sequence[Row],
    wanted: Wanted,
) -> LookedUp:
    found: list[Found] = []
    there: set[tuple[Mask, str]] = set()
    missing: Counter[Missing] = Counter()
    for sensitive, what, value, ci95, row in rows:
        there.add((sensitive, what))
        if _is_interval(value, ci95):
            found.append(Found(sensitive, what, value, (ci95[0], ci95[1]), row))
        else:
            missing[Missing(Reason.NO_INTERVAL, f"{what} has no finite interval")] += 1
    for demand in demands:
        if (demand.sensitive, demand.what) not in there:
            missing[_why(demand, told, wanted)] += 1
    return LookedUp(subject, found, missing)


def _why(demand: Demand, told: Sequence[Row], wanted: Wanted) -> Missing:
    for each in told:
        of = each.get("target", each.get("metric"))
        if of is None or demand.what == of or demand.what.startswith(f"{of} "):
            return Missing(Reason(each["code"]), each["reason"])
    if demand.metric not in wanted.metrics:
        return Missing(Reason.NOT_ASKED, f"{demand.metric} was not asked for")
    if not set(demand.masks) & set(wanted.masks):
        return Missing(Reason.NOT_ASKED, "masks that the bundle has were not asked for")
    return Missing(Reason.UNEXPLAINED, f"{demand.what} is not there, and nothing says why")


def _is_interval(value: object, ci95: object) -> bool:
    """Whether a number and both ends of its interval are there and finite."""
    ends = ci95 if isinstance(ci95, Sequence) and len(ci95) == 2 else (None, None)
    return all(isinstance(end, int | float) and math.isfinite(end) for end in (value, *ends))
