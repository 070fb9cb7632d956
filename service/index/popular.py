"""Items by popularity, which is the same for everybody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.index.order import Position, Ranking


class PopularOrder:
    """Orders items by their number of training positives, ties by item row."""

    def __init__(self, popularity: NDArray[np.int64]) -> None:
        """Take the (I,) counts."""
        self._popularity = popularity
        self._order = np.lexsort((np.arange(len(popularity)), -popularity))

    def top(self, dropped: NDArray[np.int32], count: int, after: Position | None = None) -> Ranking:
        """The first ``count`` items that are not dropped; strictly after a position where one is given."""
        kept = np.ones(len(self._order), np.bool_)
        kept[dropped] = False
        order = self._order
        if after is not None:
            order = order[int(np.flatnonzero(order == after.row)[0]) + 1 :]
        rows = order[kept[order]][:count]
        return Ranking(rows, self._popularity[rows].astype(np.float64))
