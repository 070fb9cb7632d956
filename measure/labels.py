"""Attribute labels: one int per user, -1 where unknown, which is no class.

Classes with too few users are merged before anything is measured: down to two groups, so that whatever can be is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import SingleClassError, TooFewUsersError

UNKNOWN = -1
RARE_BELOW = 30
"""Audit users a class needs to be attacked on its own."""
REST = "other"
"""What the classes too rare to be measured are called together."""
NAMED = 3
"""Classes that the name of a group lists."""

Labels = NDArray[np.integer[Any]]

_NUMBER = re.compile(
    r"(?P<below>under |below |up to |< ?)?(?P<low>-?\d+(\.\d+)?)( ?(-|–| to ) ?-?\d+(\.\d+)?| ?\+)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Merge:
    """Which original classes form each class that is attacked; of unordered ones the merged come last."""

    classes: tuple[tuple[int, ...], ...]
    neighbours: bool = False
    """Whether each is a run of classes that stand next to each other."""

    def apply(self, labels: Labels) -> NDArray[np.int64]:
        """Number the classes 0, 1, …; unknown labels, and classes the merge has not met, become -1."""
        merged = np.full(labels.shape, UNKNOWN, dtype=np.int64)
        for place, members in enumerate(self.classes):
            merged[np.isin(labels, members)] = place
        return merged

    def names(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Name the groups, each differently; a class that stays alone keeps its own name."""
        together = [members for members in self.classes if len(members) > 1]
        rest = REST if REST not in classes else f"{REST} (together)"

        def name(members: Sequence[int]) -> str:
            if len(members) == 1:
                return classes[members[0]]
            if self.neighbours:
                return f"{classes[members[0]]} to {classes[members[-1]]}"
            return rest if len(together) == 1 else _several([classes[member] for member in members])

        return tuple(map(name, self.classes))


def merge_rare(labels: Labels, rows: NDArray[np.intp], at_least: int = RARE_BELOW, *, ordered: bool = False) -> Merge:
    """Merge classes that are too rare to be measured.

    Unordered classes with fewer than ``at_least`` users among ``rows`` become one class; if that one is still too
    small, the smallest of the others joins it; where all are rare, two groups are made, as even as they come. Ordered
    classes that are rare join their neighbours; where most users are in rare ones, as with plain years of age, two
    groups are cut near the middle: many narrow ones would hide from every attacker what two show. The same merge then
    holds for all users.

    Args:
        labels: shape (n,), of all users, -1 for unknown.
        rows: the users that count: the audit users.
        at_least: users a class needs.
        ordered: whether the classes stand in an order, as `in_order` tells of their names.

    Raises:
        TooFewUsersError: fewer than two classes' worth of labelled users among the rows.
        SingleClassError: no two groups of so many users can be made of them.
    """
    known = np.unique(labels[labels >= 0])
    counts = {int(label): int((labels[rows] == label).sum()) for label in known}
    users = sum(counts.values())
    if users < 2 * at_least:
        raise TooFewUsersError("labelled users", users, 2 * at_least)
    runs = _neighbours(counts, at_least) if ordered else []
    groups = runs or _others(counts, at_least)
    if len(groups) < 2:
        raise SingleClassError("labels", users, at_least, sorted(counts.values(), reverse=True))
    return Merge(tuple(map(tuple, groups)), neighbours=bool(runs))


def in_order(classes: Sequence[str]) -> bool:
    """Whether classes are numbers or ranges, like 17, 18-24, "under 18" or 56+, and stand from low to high."""
    found = [_NUMBER.fullmatch(name.strip()) for name in classes]
    places = [(float(match["low"]), match["below"] is None) for match in found if match is not None]
    return len(places) == len(classes) and all(one < next_ for one, next_ in pairwise(places))


def _neighbours(counts: Mapping[int, int], at_least: int) -> list[list[int]]:
    """Runs of ordered classes with ``at_least`` users each; none where there are no two such runs."""
    order, users = sorted(counts), sum(counts.values())
    if 2 * sum(count for count in counts.values() if count < at_least) > users:
        return _halves(order, counts, at_least)
    runs: list[list[int]] = [[]]
    for label in order:
        if sum(counts[each] for each in runs[-1]) >= at_least:
            runs.append([])
        runs[-1].append(label)
    if len(runs) > 1 and sum(counts[each] for each in runs[-1]) < at_least:
        last = runs.pop()
        runs[-1] += last
    return runs if len(runs) > 1 else []


def _halves(order: Sequence[int], counts: Mapping[int, int], at_least: int) -> list[list[int]]:
    """The cut of the order that is nearest to the middle and leaves enough on both sides."""
    below = np.cumsum([counts[label] for label in order]).tolist()
    users = below[-1]
    cuts = [place for place, low in enumerate(below, 1) if min(low, users - low) >= at_least]
    if not cuts:
        return []
    cut = min(cuts, key=lambda place: abs(2 * below[place - 1] - users))
    return [list(order[:cut]), list(order[cut:])]


def _others(counts: Mapping[int, int], at_least: int) -> list[list[int]]:
    """Every class that is large enough, and the others as one; two groups where none is."""
    kept = [label for label in counts if counts[label] >= at_least]
    rare = [label for label in counts if counts[label] < at_least]
    if not kept:
        return _two(counts, at_least)
    if rare and sum(counts[label] for label in rare) < at_least:
        smallest = min(kept, key=lambda label: counts[label])
        kept.remove(smallest)
        rare.append(smallest)
    return [[label] for label in kept] + ([sorted(rare)] if rare else [])


def _two(counts: Mapping[int, int], at_least: int) -> list[list[int]]:
    """Two groups of rare classes, as even as they come; none where no two have enough users."""
    users = sum(counts.values())
    by_size = sorted(counts, key=lambda label: (-counts[label], label))
    if users >= 3 * at_least:  # the sums differ by one class at most, so both have enough
        groups: list[list[int]] = [[], []]
        held = [0, 0]
        for label in by_size:
            smaller = held.index(min(held))
            groups[smaller].append(label)
            held[smaller] += counts[label]
        return [sorted(group) for group in groups]
    reached: dict[int, tuple[int, ...]] = {0: ()}  # every sum that some classes have
    for label in by_size:
        for held_by, members in list(reached.items()):
            reached.setdefault(held_by + counts[label], (*members, label))
    enough = [total for total in reached if min(total, users - total) >= at_least]
    if not enough:
        return []
    one = reached[min(enough, key=lambda total: abs(2 * total - users))]
    return [sorted(one), sorted(set(counts) - set(one))]


def _several(names: Sequence[str]) -> str:
    if len(names) <= NAMED + 1:
        return " and ".join([", ".join(names[:-1]), names[-1]])
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"
