"""Attribute labels: one int per user, -1 where unknown; rare classes are merged before anything is attacked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import SingleClassError, TooFewUsersError

UNKNOWN = -1
RARE_BELOW = 30
"""Audit users a class needs to be attacked on its own."""

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Merge:
    """Which original classes form each class that is attacked; the merged ones come last."""

    classes: tuple[tuple[int, ...], ...]

    def apply(self, labels: Labels) -> NDArray[np.int64]:
        """Number the classes 0, 1, …; unknown labels, and classes the merge has not met, become -1."""
        merged = np.full(labels.shape, UNKNOWN, dtype=np.int64)
        for place, members in enumerate(self.classes):
            merged[np.isin(labels, members)] = place
        return merged


def merge_rare(labels: Labels, rows: NDArray[np.intp], at_least: int = RARE_BELOW) -> Merge:
    """Merge classes that are too rare to be measured.

    Classes with fewer than ``at_least`` users among ``rows`` become one class; if that one is still too small, the
    smallest of the others joins it. The same merge then holds for all users.

    Args:
        labels: shape (n,), of all users, -1 for unknown.
        rows: the users that count: the audit users.
        at_least: users a class needs.

    Raises:
        TooFewUsersError: fewer than two classes' worth of labelled users among the rows.
        SingleClassError: fewer than two classes are left.
    """
    known = np.unique(labels[labels >= 0])
    counts = {int(label): int((labels[rows] == label).sum()) for label in known}
    users = sum(counts.values())
    if users < 2 * at_least:
        raise TooFewUsersError("labelled users", users, 2 * at_least)

    kept = [label for label in counts if counts[label] >= at_least]
    rare = [label for label in counts if counts[label] < at_least]
    if rare and kept and sum(counts[label] for label in rare) < at_least:
        smallest = min(kept, key=lambda label: counts[label])
        kept.remove(smallest)
        rare.append(smallest)
    classes = [(label,) for label in kept] + ([tuple(sorted(rare))] if rare else [])
    if len(classes) < 2:
        raise SingleClassError("labels", users, at_least)
    return Merge(tuple(classes))
