"""Exact lists for many users at once: the lists that serving gives.

The order is by float64 inner product rounded to 1e-6, ties by item row. A matrix product proposes; the
proposals are scored again one item at a time, as serving does, and where they could end too early (many ties) the
whole catalogue is ordered for that user. Where the model has scores of its own, they order what comes out of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.scoring import SCORE_STEP, Scorer

DECIMALS = 6
MARGIN = 16
"""Proposals beyond the length of the list."""
_BLOCK_SCORES = 4_000_000  # scores held at a time: 32 MiB

Floats = NDArray[np.float64]


def top_items(
    users: NDArray[np.float32],
    scorer: Scorer,
    count: int,
    dropped: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None,
) -> NDArray[np.int32]:
    """Order the catalogue for each user.

    Args:
        users: (n, d) vectors.
        scorer: of I items.
        count: how many items to list, at least 1.
        dropped: item rows never to list, as CSR with one row per user; None for none.

    Returns:
        (n, count) item rows, best first; -1 in the places that are left over where fewer items remain.
    """
    if scorer.own is None:
        return _by_inner_product(users, scorer.items, count, dropped)
    candidates = _by_inner_product(users, scorer.items, max(count, scorer.candidates), dropped)
    scores = np.where(candidates < 0, -np.inf, np.round(scorer.scores(users, candidates), DECIMALS))
    order = np.lexsort((candidates, -scores), axis=1)[:, :count]
    return np.take_along_axis(candidates, order, axis=1)


def _by_inner_product(
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    count: int,
    dropped: tuple[NDArray[np.int64], NDArray[np.int32]] | None,
) -> NDArray[np.int32]:
    exact_items = items.astype(np.float64)
    lists = np.full((len(users), count), -1, np.int32)
    size = max(1, _BLOCK_SCORES // len(items))
    for start in range(0, len(users), size):
        u = users[start : start + size].astype(np.float64)
        scores = u @ exact_items.T
        if dropped is not None:
            indptr, indices = dropped
            for place in range(len(u)):
                scores[place, indices[indptr[start + place] : indptr[start + place + 1]]] = -np.inf
        found = _listed(u, exact_items, scores, count)
        lists[start : start + size, : found.shape[1]] = found
    return lists


def _listed(u: Floats, items: Floats, scores: Floats, count: int) -> NDArray[np.int64]:
    """(B, min(count, I)) item rows of one block, from (B, I) scores that are good but for their last bits."""
    everything = scores.shape[1]
    width = min(count + MARGIN, everything)
    proposed = np.argpartition(scores, everything - width, axis=1)[:, everything - width :]
    near = np.take_along_axis(scores, proposed, axis=1)
    lists = _ordered(u, items, proposed, near)[:, :count]
    if width < everything:
        bar = np.partition(near, width - count, axis=1)[:, width - count]
        lowest = near.min(axis=1)
        for row in np.flatnonzero((lowest > -np.inf) & (lowest >= bar - 2 * SCORE_STEP)):
            rows = slice(row, row + 1)
            lists[row] = _ordered(u[rows], items, np.arange(everything)[None], scores[rows])[0, :count]
    return lists


def _ordered(u: Floats, items: Floats, rows: NDArray[np.int64], scores: Floats) -> NDArray[np.int64]:
    """The (B, w) item rows by exact score, -1 for those whose score is -inf."""
    exact = np.empty(rows.shape)
    for block in _blocks(rows.shape[1]):
        exact[:, block] = (items[rows[:, block]] * u[:, None, :]).sum(axis=2)
    exact = np.where(scores == -np.inf, -np.inf, np.round(exact, DECIMALS) + 0.0)  # + 0.0: no negative zero
    order = np.lexsort((rows, -exact), axis=1)
    kept: NDArray[Any] = np.take_along_axis(np.where(exact == -np.inf, -1, rows), order, axis=1)
    return kept


def _blocks(width: int, size: int = 65_536) -> list[slice]:
    return [slice(start, start + size) for start in range(0, width, size)]
