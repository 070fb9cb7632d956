"""What a re-ranker chooses from.

Letters: n users, C candidates of each, K items of a list, G item groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balance.errors import GroupsError, OutOfRangeError, ShapeError, within
from balance.shares import ItemShares

Places = NDArray[np.int64]
"""(n, K) places among a user's candidates, best first; -1 for an empty place, behind all others."""


@dataclass(frozen=True)
class Candidates:
    """Items of n users, and what each is worth to its user. A row with fewer than C items ends in -1."""

    items: NDArray[np.integer[Any]]
    """(n, C) item rows, each once in a row; -1 for none."""
    relevance: NDArray[np.floating[Any]]
    """(n, C), any finite numbers where there is an item; of all users on one scale, since they are added up."""

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or self.items.shape != self.relevance.shape:
            raise ShapeError("relevance", self.relevance.shape, f"(n, C) as items {self.items.shape}")
        finite = np.isfinite(self.relevance) | ~self.filled
        if not finite.all():
            raise OutOfRangeError("relevance", float(self.relevance[~finite][0]), -np.inf, np.inf)
        if (self.filled[:, 1:] & ~self.filled[:, :-1]).any():
            raise ShapeError("items", self.items.shape, "(n, C) with empty places last")

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def filled(self) -> NDArray[np.bool_]:
        """(n, C) where there is an item."""
        return self.items >= 0

    def check_k(self, k: int) -> None:
        """Refuse lists that are longer than rows, or empty.

        Raises:
            OutOfRangeError: k is below 1 or above C.
        """
        within("k", k, 1, self.items.shape[1])


def scaled(scores: NDArray[np.floating[Any]], filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores of each row brought to [0, 1] over its filled places; 0 where all are the same, and in empty places."""
    low = np.where(filled, scores, np.inf).min(axis=1, keepdims=True)
    high = np.where(filled, scores, -np.inf).max(axis=1, keepdims=True)
    spread = filled & (high > low)
    found: NDArray[np.float64] = np.zeros(scores.shape)
    np.divide(scores - np.where(filled, low, 0.0), high - low, out=found, where=spread)
    return found


def in_order(relevance: NDArray[np.floating[Any]], chosen: NDArray[np.bool_], k: int) -> Places:
    """Order what was chosen, (n, C) with k of each user or fewer: the most relevant first, ties by place."""
    keys = np.where(chosen, -np.asarray(relevance, np.float64), np.inf)
    order = np.argsort(keys, axis=1, kind="stable")[:, :k]
    return np.where(np.take_along_axis(chosen, order, axis=1), order, -1)


def member_shares(shares: ItemShares) -> NDArray[np.float64]:
    """(I + 1, G) how much each item counts in each group, in equal parts; the last row, of no item, is 0."""
    table = np.zeros((len(shares.columns), len(shares) + 1))
    np.put_along_axis(table, shares.columns, shares.kinds[shares.kind][:, None], axis=1)
    table = table[:, :-1]
    table[-1] = 0.0
    return table


def check_target(target: NDArray[np.floating[Any]], shares: ItemShares) -> NDArray[np.float64]:
    """Take a distribution over item groups.

    Raises:
        ShapeError: it does not have G numbers.
        GroupsError: they are negative, or do not add up to 1.
    """
    if target.shape != (len(shares),):
        raise ShapeError("target", target.shape, f"({len(shares)},), a share for each of {', '.join(shares.names)}")
    if not (target >= 0).all() or not np.isclose(target.sum(), 1):
        raise GroupsError(
            f"target adds up to {target.sum():g}, its smallest share is {target.min():g}; a distribution is needed"
        )
    return np.asarray(target, np.float64)


def two_groups(of: NDArray[np.integer[Any]], users: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The rows of the users of group 0 and of group 1.

    Args:
        of: shape (n,), 0 or 1, -1 for a user of neither.
        users: n.

    Raises:
        ShapeError: not one entry for each user.
        GroupsError: another group, or one of the two without users.
    """
    if of.shape != (users,):
        raise ShapeError("groups", of.shape, f"({users},)")
    if not np.isin(of, (-1, 0, 1)).all():
        raise GroupsError(
            f"users are in groups {sorted(set(of.tolist()))}; two are needed, 0 and 1, and -1 for neither"
        )
    first, second = np.flatnonzero(of == 0), np.flatnonzero(of == 1)
    if not len(first) or not len(second):
        raise GroupsError(f"groups have {len(first)} and {len(second)} users; both must have some")
    return first, second


def difference_weights(
    quality: NDArray[np.floating[Any]], groups: NDArray[np.integer[Any]], filled: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(n, C) what each candidate adds to the mean quality of group 0's lists less that of group 1's.

    Args:
        quality: shape (n, C), finite where there is a candidate.
        groups: see `two_groups`.
        filled: shape (n, C).
    """
    if quality.shape != filled.shape:
        raise ShapeError("quality", quality.shape, f"(n, C) as items {filled.shape}")
    if not np.isfinite(quality[filled]).all():
        raise OutOfRangeError("quality", float(quality[filled & ~np.isfinite(quality)][0]), -np.inf, np.inf)
    first, second = two_groups(groups, len(filled))
    scale = np.zeros(len(filled))
    scale[first], scale[second] = 1 / len(first), -1 / len(second)
    found: NDArray[np.float64] = np.where(filled, quality, 0.0) * scale[:, None]
    return found
