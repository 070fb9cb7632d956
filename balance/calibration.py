"""Calibrated lists (Steck, RecSys 2018): each place goes to the item that is best in itself and for the list so far.

docs/algorithms/balance.md has the equations; their numbers are in the comments. Letters: B lists, P candidates of each,
G item groups, C kinds of items by their number of groups, L groups of the item with the most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from balance.shares import ItemShares, discount

ALPHA = 0.01
"""Share of the target that is mixed into the shown distribution, as in `measure.fairness.calibration`."""
TABLE = 2**20
"""Numbers of a table; lists beyond it are ordered later."""


def calibrated(
    candidates: NDArray[np.integer],
    scores: NDArray[np.float64],
    shares: ItemShares,
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    count: int,
) -> NDArray[np.intp]:
    """Choose the first places of each list, one after the other.

    Args:
        candidates: (B, P) item rows, best first, -1 for an empty place; empty places come last.
        scores: (B, P), finite, never ascending; of any scale: they are brought to [0, 1] over the candidates.
        shares: the groups of the items.
        targets: (B, G) distributions, or (1, G): one for all lists.
        weights: (B,), or (1,) with it, in [0, 1]: 0 keeps the order, 1 looks at nothing but the target.
        count: places to fill, at least 1.

    Returns:
        (B, count) places among the candidates, -1 where there are no more. A row is a function of its own candidates,
        scores, target and weight: every number of it is made by operations on single numbers, in the same order in
        any batch. Of equally good candidates the first one is taken.

    Source:
        Steck, *Calibrated Recommendations*, RecSys 2018, algorithm of section 4 with equations 3 - 5 and 8.
    """
    if not candidates.shape[1]:
        return np.full((len(candidates), count), -1, np.intp)
    step = max(1, TABLE // max(len(shares) * len(shares.kinds), candidates.shape[1] * shares.columns.shape[1]))
    parts = [
        _calibrated(
            candidates[rows],
            scores[rows],
            shares,
            *((targets, weights) if len(targets) == 1 else (targets[rows], weights[rows])),
            count,
        )
        for rows in (slice(start, start + step) for start in range(0, len(candidates), step))
    ]
    return np.concatenate(parts) if parts else np.zeros((0, count), np.intp)


def divergence(
    lists: NDArray[np.integer], shares: ItemShares, targets: NDArray[np.float64], alpha: float = ALPHA
) -> NDArray[np.float64]:
    """KL(p || q~) of each list, p its target, q its exposure by rank, q~ = (1 - alpha) q + alpha p.

    Args:
        lists: (B, k) item rows by rank, -1 for an empty place.
        shares: the groups of the items.
        targets: (B, G) distributions, or (1, G): one for all lists.
        alpha: in (0, 1).

    Returns:
        (B,), in [0, ln(1 / alpha)]; NaN for an empty list. The same as `measure.fairness.calibration.user_kl` of
        `measure.fairness.exposure.rows_of`.
    """
    shown = shares.exposure(lists, discount(lists.shape[1]))
    total = shown.sum(axis=1)
    mixed = (1 - alpha) * (shown / np.where(total > 0, total, 1.0)[:, None]) + alpha * targets
    ratios = np.divide(targets, mixed, out=np.ones(mixed.shape), where=targets > 0)
    found: NDArray[np.float64] = np.maximum((targets * np.log(ratios)).sum(axis=1), 0.0)  # rounding alone can go below
    found[total == 0] = np.nan
    return found


def _calibrated(
    candidates: NDArray[np.integer],
    scores: NDArray[np.float64],
    shares: ItemShares,
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    count: int,
) -> NDArray[np.intp]:
    lists, width = candidates.shape
    filled = candidates >= 0
    left = filled.sum(axis=1)
    kinds = shares.kind[candidates]
    given = (1 - ALPHA) * shares.kinds[: int(kinds.max(initial=0)) + 1]  # the more groups, the later a kind
    columns = shares.by_column[: round((1 - ALPHA) / given[-1])]  # no candidate has more
    values = np.empty((len(columns) + 1, lists, width))
    kept, best = values[0], np.empty((lists, width))
    kept[:] = _weighed(scores, left, weights)  # the first term of B3
    kept[~filled] = -np.inf
    pull = np.zeros((len(targets), len(shares) + 1))  # the last group is none, and gains nothing
    np.multiply(weights[:, None], targets, out=pull[:, :-1])
    mixed = np.ones(pull.shape)  # what pulls nothing may be divided by anything
    np.multiply(ALPHA, targets, out=mixed[:, :-1], where=targets > 0)
    shown = np.zeros((lists, pull.shape[1]))  # (1 - ALPHA) x exposure of each group in each list so far
    places = columns.take(candidates, axis=1, mode="wrap")  # -1 is the last row: that of no item
    places = places + pull.shape[1] * np.arange(lists)[:, None]  # (L, B, P) of `shown`
    gains, x = np.empty((len(given), *shown.shape)), np.empty(shown.shape)
    cells = places + shown.size * kinds
    places, each, exposed = places.reshape(len(places), -1), given[kinds].reshape(-1), shown.reshape(-1)
    table, sums, rest = gains.reshape(-1), values[1:], kept.reshape(-1)
    ranks = discount(count)
    totals = np.multiply.outer(np.cumsum(ranks), mixed)
    more = ranks[:, None, None, None] * given[:, None, None]
    chosen = np.empty((count, lists), np.intp)
    first = width * np.arange(lists)
    for weight, total, growth, row in zip(ranks.tolist(), totals, more, chosen, strict=True):
        np.add(total, shown, out=x)
        np.divide(growth, x, out=gains)
        np.log1p(gains, out=gains)
        np.multiply(gains, pull, out=gains)  # B4
        table.take(cells, out=sums, mode="clip")
        np.add.reduce(values, axis=0, out=best)  # B3, but for what all candidates share
        at = best.argmax(axis=1, out=row) + first
        exposed[places.take(at, axis=1)] += weight * each.take(at)
        rest[at] = -np.inf
    found = chosen.T.copy()
    found[np.arange(count) >= left[:, None]] = -1
    return found


def _weighed(
    scores: NDArray[np.float64], left: NDArray[np.integer], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(1 - w) s, s the score brought to [0, 1] from the last candidate to the first; 0 where all are the same."""
    low = scores[np.arange(len(scores)), np.maximum(left, 1) - 1]
    width = scores[:, 0] - low
    factor = np.divide(1 - weights, width, out=np.zeros(len(scores)), where=width > 0)
    found: NDArray[np.float64] = (scores - low[:, None]) * factor[:, None]
    return found
