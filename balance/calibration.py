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
        targets: (B, G) distributions.
        weights: (B,) in [0, 1]: 0 keeps the order, 1 looks at nothing but the target.
        count: places to fill, at least 1.

    Returns:
        (B, count) places among the candidates, -1 where there are no more. A row is a function of its own candidates,
        scores, target and weight: every number of it is made by operations on single numbers, in the same order in
        any batch. Of equally good candidates the first one is taken.

    Source:
        Steck, *Calibrated Recommendations*, RecSys 2018, algorithm of section 4 with equations 3 - 5 and 8.
    """
    step = max(1, TABLE // max(len(shares) * len(shares.kinds), candidates.shape[1] * shares.columns.shape[1]))
    parts = [
        _calibrated(candidates[rows], scores[rows], shares, targets[rows], weights[rows], count)
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
        targets: (B, G) distributions.
        alpha: in (0, 1).

    Returns:
        (B,), in [0, ln(1 / alpha)]; NaN for an empty list. The same as `measure.fairness.calibration.user_kl` of
        `measure.fairness.exposure.rows_of`.
    """
    shown = shares.exposure(lists, discount(lists.shape[1]))
    total = shown.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = (1 - alpha) * (shown / total) + alpha * targets
        terms = np.where(targets > 0, targets * np.log(targets / mixed), 0.0)
    found: NDArray[np.float64] = np.maximum(terms.sum(axis=1), 0.0)  # rounding alone can go below
    return np.where(total[:, 0] > 0, found, np.nan)


def scaled(scores: NDArray[np.float64], filled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Scores of each row brought to [0, 1] over its filled places; 0 where they are all the same."""
    low = np.where(filled, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(filled, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    width = high - low
    spread = np.isfinite(width) & (width > 0)
    found: NDArray[np.float64] = np.where(spread, (scores - low) / np.where(spread, width, 1.0), 0.0)
    return found


def _calibrated(
    candidates: NDArray[np.integer],
    scores: NDArray[np.float64],
    shares: ItemShares,
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    count: int,
) -> NDArray[np.intp]:
    width = candidates.shape[1]
    filled = candidates >= 0
    values = np.empty((shares.columns.shape[1] + 1, *candidates.shape))
    kept = values[0]  # the first term of B3
    kept[:] = np.where(filled, (1 - weights[:, None]) * scaled(np.where(filled, scores, 0.0), filled), -np.inf)
    pull = np.zeros((len(candidates), len(shares) + 1))  # the last group is none, and gains nothing
    np.multiply(weights[:, None], targets, out=pull[:, :-1])
    mixed = np.where(pull > 0, ALPHA, 1.0)  # what pulls nothing may be divided by anything
    np.multiply(mixed[:, :-1], np.where(targets > 0, targets, 1.0), out=mixed[:, :-1])
    shown = np.zeros(pull.shape)  # (1 - ALPHA) x exposure of the list so far
    places = shares.columns[candidates] + (pull.shape[1] * np.arange(len(candidates)))[:, None, None]  # (B, P, L) of it
    given = (1 - ALPHA) * shares.kinds
    kinds = shares.kind[candidates]
    gains = np.empty((len(given), *pull.shape))
    cells = places.transpose(2, 0, 1) + pull.size * kinds
    each, of_each = given[kinds].reshape(-1), places.reshape(-1, places.shape[2])
    ranks = discount(count)
    steps = zip(ranks, ranks[:, None, None, None] * given[:, None, None], np.cumsum(ranks).tolist(), strict=True)
    chosen = np.empty((count, len(candidates)), np.intp)
    first, best = width * np.arange(len(candidates)), np.empty(candidates.shape)
    for place, (weight, more, total) in zip(chosen, steps, strict=True):
        np.divide(more, shown + total * mixed, out=gains)
        gains += 1.0
        np.log(gains, out=gains)
        gains *= pull  # B4
        gains.take(cells, out=values[1:], mode="clip")
        np.add.reduce(values, axis=0, out=best)  # B3, but for what all candidates share
        best.argmax(axis=1, out=place)
        at = place + first
        shown.reshape(-1)[of_each[at]] += (weight * each[at])[:, None]
        kept.reshape(-1)[at] = -np.inf
    found = chosen.T.copy()
    found[np.arange(count) >= filled.sum(axis=1)[:, None]] = -1
    return found
