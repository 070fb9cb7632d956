"""How alike two lists of the same user are: Jaccard, and rank-biased overlap.

Lists are as in `measure.fairness.items`. A user without any item in either list has nothing to compare: NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.errors import OutOfRangeError, ShapeError
from measure.fairness.items import checked
from measure.scoring import Ints

PERSISTENCE = 0.9
"""p of the rank-biased overlap: the first ten ranks then carry 86 % of the weight of an endless list."""
_BLOCK_PAIRS = 4_000_000  # pairs of places compared at a time


class Overlap(NamedTuple):
    """Per user, shape (n,), in [0, 1]: 1 for the same list, 0 for nothing in common, NaN for two empty lists."""

    jaccard: NDArray[np.float64]
    rbo: NDArray[np.float64]


def overlap(first: Ints, second: Ints, item_count: int, persistence: float = PERSISTENCE) -> Overlap:
    """Compare the lists of n users, by their items and by rank.

    With X_d the number of items that both lists have among their first d, and s <= l their lengths:

    * Jaccard = X_l / (s + l - X_l), whatever the order;
    * RBO = (1 - p)/p (sum_{d=1..l} X_d p^d / d + sum_{d=s+1..l} X_s (d - s) p^d / (s d))
      + ((X_l - X_s)/l + X_s/s) p^l.

    This is the *extrapolated* RBO: the agreement at the end of what is there is taken to go on for ever, so two equal
    lists have 1 whatever their length. With s = l the second sum falls away.

    Args:
        first: shape (n, k), item rows.
        second: shape (n, k'), of the same users.
        item_count: I.
        persistence: p in (0, 1): how likely a reader is to go on to the next rank.

    Raises:
        ListsError: a row that is no list.
        ShapeError: not as many lists in both.
        OutOfRangeError: p is not between 0 and 1.

    Source:
        Webber, Moffat and Zobel, TOIS 28(4), 2010: equation 32, for lists of equal length equation 30.
    """
    checked(first, item_count)
    checked(second, item_count)
    if len(first) != len(second):
        raise ShapeError("second lists", second.shape, f"({len(first)}, k)")
    if not 0 < persistence < 1:
        raise OutOfRangeError("persistence", persistence, 0, 1)
    lengths = np.stack([(first >= 0).sum(axis=1), (second >= 0).sum(axis=1)])
    short, long = lengths.min(axis=0), lengths.max(axis=0)
    shared = np.concatenate([np.empty((0, max(first.shape[1], second.shape[1]) + 1)), *_shared(first, second)])
    at_short, at_long = (np.take_along_axis(shared, length[:, None], axis=1)[:, 0] for length in (short, long))
    with np.errstate(invalid="ignore"):
        jaccard = at_long / (short + long - at_long)
    rbo = _extrapolated(shared[:, 1:], short, long, at_short, at_long, persistence)
    return Overlap(jaccard, np.where(long > 0, rbo, np.nan))


def _shared(first: Ints, second: Ints) -> Iterator[NDArray[np.int64]]:
    """Items that both lists have among their first d, for d from 0 on: blocks of shape (b, depths + 1)."""
    depth = np.maximum.outer(np.arange(first.shape[1]), np.arange(second.shape[1])) + 1
    width = max(first.shape[1], second.shape[1]) + 1
    size = max(1, _BLOCK_PAIRS // max(1, depth.size))
    for start in range(0, len(first), size):
        one, other = first[start : start + size, :, None], second[start : start + size, None, :]
        users, here, there = np.nonzero((one == other) & (one >= 0))
        met = np.bincount(users * width + depth[here, there], minlength=len(one) * width)
        yield met.reshape(len(one), width).cumsum(axis=1)


def _extrapolated(
    shared: NDArray[np.float64], short: Ints, long: Ints, at_short: Ints, at_long: Ints, p: float
) -> NDArray[np.float64]:
    d = np.arange(1, shared.shape[1] + 1)
    weight = p**d * (d <= long[:, None])
    agreed = at_short / np.maximum(short, 1)  # of an empty list: nothing is shared, 0
    beyond = np.maximum(d - short[:, None], 0)
    summed = (shared / d * weight).sum(axis=1) + (agreed[:, None] * beyond / d * weight).sum(axis=1)
    at_end = (at_long - at_short) / np.maximum(long, 1) + agreed
    return (1 - p) / p * summed + at_end * p**long  # type: ignore[no-any-return]
