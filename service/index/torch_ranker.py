"""Exact lists out of the proposals of `TorchIndex`, which have scores in float64 and no dropped items.

Such a score was summed in another order than on the CPU. Two float64 sums round to the same `STEP` unless they lie
within their error of a point where the rounding changes; such an item is scored again here. So the lists are the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.index.dense import TorchIndex
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.expanding_search import ExpandingSearch
from service.index.interface import SearchBatch
from service.index.order import DECIMALS, STEP, Ranking

WIDEST = 4096
"""Most proposals to a row; a row that needs more is ranked on the CPU."""
FINER = 2.0**-29
"""Error of a sum in float64, relative to that of one in float32."""


class TorchRanker(ExpandingSearch):
    """Orders the proposals of a `TorchIndex`."""

    margin = 16

    def __init__(self, index: TorchIndex, whole: ExhaustiveRanker) -> None:
        """Take the index, and the ranker that compares the same items on the CPU."""
        super().__init__(whole, WIDEST if whole.items else 0)
        self._index = index

    def _settle(self, batch: SearchBatch, width: int) -> list[Ranking | None]:
        fair = batch.fair
        error = self._exact.error(fair)
        items, sums, ends = self._index.propose(fair, width, batch.dropped)
        exact = self._rounded(fair, items, sums, error)
        left = (exact > -np.inf).sum(axis=1)
        for row in np.flatnonzero((exact[:, 1:] >= exact[:, :-1]).any(axis=1)).tolist():  # ties
            order = np.lexsort((items[row], -exact[row]))
            items[row], exact[row] = items[row, order], exact[row, order]
        starts = np.zeros(len(fair), np.int64)
        for row, position in enumerate(batch.after):
            if position is not None:
                (last,) = self._exact.of(fair[row], np.array([position.row]))
                starts[row] = ((exact[row] > last) | ((exact[row] == last) & (items[row] <= position.row))).sum()
        stops = np.minimum(starts + batch.counts, left)
        enough = stops - starts == batch.counts
        lasts = exact[np.arange(len(fair)), np.maximum(stops - 1, 0)]
        settled = (ends == -np.inf) | (enough & (ends < lasts - error - 2 * STEP))
        return [
            Ranking(items[row, start:stop], exact[row, start:stop]) if sure else None
            for row, (start, stop, sure) in enumerate(
                zip(starts.tolist(), stops.tolist(), settled.tolist(), strict=True)
            )
        ]

    def _rounded(
        self,
        fair: NDArray[np.float32],
        items: NDArray[np.int64],
        sums: NDArray[np.float64],
        error: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """(B, n) scores as `ExactScores.of` gives them, minus infinity where there is no item."""
        gone = sums == -np.inf
        steps = np.where(gone, 0.0, sums) * 10.0**DECIMALS
        off = error[:, None] * (FINER * 10.0**DECIMALS) + np.abs(steps) * 2.0**-52
        exact = np.rint(steps) / 10.0**DECIMALS + 0.0
        rows, columns = np.nonzero((np.abs(steps - np.floor(steps) - 0.5) <= off) & ~gone)
        if len(rows):
            exact[rows, columns] = self._exact.of(fair, items[rows, columns], rows)
        exact[gone] = -np.inf
        return exact
