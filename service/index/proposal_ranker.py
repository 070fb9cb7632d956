"""Exact lists out of an index that proposes in float32: proposals are filtered, scored and ordered on the CPU.

As in `service.index.exhaustive_ranker`, items whose float32 score is more than 2 ε + 2 `STEP` below that of the k-th
item to show cannot enter the list.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.expanding_search import ExpandingSearch
from service.index.interface import SPARSE, Dropped, Proposing, SearchBatch
from service.index.order import STEP, Ranking, best_of_each


class ProposalRanker(ExpandingSearch):
    """Asks an exact index, drops the items that must not be shown, and orders the others."""

    margin = 32  # enough to replace most dropped items

    def __init__(self, index: Proposing, whole: ExhaustiveRanker) -> None:
        """Take the index, and the ranker that compares all items that it was built from."""
        super().__init__(whole, min(index.max_count, whole.items // SPARSE))
        self._index = index
        self._items = whole.items

    def _settle(self, batch: SearchBatch, width: int) -> list[Ranking | None]:
        fair, counts = batch.fair, batch.counts
        slack = 2 * self._exact.error(fair) + 2 * STEP
        items, scores = self._index.search(fair, width, batch.dropped)
        near = np.where(items >= 0, scores.astype(np.float64), -np.inf)
        # The index may have left out dropped items, but no other item better than its last proposal.
        ends = near[:, -1].copy() if width < self._items else np.full(len(fair), -np.inf)
        self._drop(near, items, batch.dropped)
        for row, position in enumerate(batch.after):
            if position is not None:
                later = self._exact.later(fair[row], position.row, items[row], near[row], slack[row])
                near[row, ~later] = -np.inf
        places = [width - count for count in counts]
        bars = np.partition(near, sorted(set(places)), axis=1)[np.arange(len(fair)), places] - slack
        settled = (ends == -np.inf) | (ends < bars)
        rows, columns = np.nonzero((near >= bars[:, None]) & (near > -np.inf) & settled[:, None])
        passing = items[rows, columns]
        rows, passing = np.divmod(np.sort(rows * self._items + passing), self._items)
        rankings = best_of_each(rows, passing, self._exact.of(fair, passing, rows), counts)
        return [ranking if sure else None for ranking, sure in zip(rankings, settled.tolist(), strict=True)]

    def _drop(self, near: NDArray[np.float64], items: NDArray[np.int64], dropped: Dropped) -> None:
        """Remove from each row its dropped items."""
        gone = np.zeros(self._items, np.bool_)  # used for one row after the other
        for row, these in enumerate(dropped):
            if len(these):
                gone[these] = True
                near[row, gone[items[row]]] = -np.inf
                gone[these] = False
