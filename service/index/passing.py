"""The items that may enter each list of a batch, kept while all items are scored in float32, some after the other.

The error of a float32 score is at most ε (`ExactScores.error`), so an item whose float32 score is more than
2 ε + 2 `STEP` below that of the k-th item to show cannot enter the list. The k-th best of the items scored so far is no
better than that of all, so what does not reach the bar that it gives is never looked at again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.index.order import LARGEST, by_row

GROUPED = 16
"""Groups for each item to show: with so many, hardly any other item passes the bar."""
NARROWEST = 256
"""Fewest groups: with fewer, more items pass the bar, and the search is no quicker."""
FULL = 4
"""Bars are raised when so many times more items are kept than after they were raised last."""


class Passing:
    """The items kept so far; without any, there is no bar."""

    def __init__(self, counts: Sequence[int], slack: NDArray[np.float64]) -> None:
        """Begin.

        Args:
            counts: (B,) items to show.
            slack: (B,) how far below the k-th item another one may seem to be and still enter.
        """
        self._counts, self._slack = np.array(counts), slack
        self._bars: NDArray[np.float32] | None = None
        self._kept: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        self._room = self.size = 0
        """Items kept for all rows together."""

    def add(self, scores: NDArray[np.float32], first: int) -> None:
        """Keep what passes of the next items.

        Args:
            scores: (B, n) of items ``first``, ``first`` + 1, …; minus infinity where one is not to be shown.
            first: item row, beyond those of all calls before.
        """
        if self._bars is None:
            self._bars = self._below(_best_of_groups(scores, self._counts))
        rows, columns = np.divmod(np.flatnonzero(scores >= self._bars[:, None]), scores.shape[1])
        self._kept.append((rows, first + columns, scores[rows, columns]))
        self.size += len(rows)
        self._room = self._room or FULL * self.size
        if self.size > self._room:
            self._raise()
            self._room = FULL * self.size

    def found(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows, ascending, and for each an item; the items of a row are ascending."""
        if len(self._kept) > 1:  # for one tile the bars are high enough
            self._raise()
        rows, items = self._kept[0][:2] if self._kept else np.zeros((2, 0), np.int64)
        order = by_row(rows)
        return rows[order], items[order]

    def _raise(self) -> None:
        """Raise the bars to what the items kept so far give, and let go of those below."""
        rows, items, near = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        ranked = np.argsort(near)
        ranked = ranked[by_row(rows[ranked])]
        sizes = np.bincount(rows, minlength=len(self._counts))
        places = np.cumsum(sizes) - self._counts
        enough = sizes >= self._counts
        best = np.full(len(self._counts), -np.inf, np.float32)
        best[enough] = near[ranked[places[enough]]]
        self._bars = self._below(best)
        sure = near >= self._bars[rows]
        self._kept = [(rows[sure], items[sure], near[sure])]
        self.size = len(self._kept[0][0])

    def _below(self, best: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B,) bars for k-th best scores: above minus infinity, which is no score, and rounded to float32 downwards."""
        bars = np.maximum(best - self._slack, -LARGEST)
        return np.nextafter(bars.astype(np.float32), np.float32(-np.inf))


def group_size(items: int, count: int, narrowest: int) -> int:
    """Items in one group for lists of ``count``, of which there are to be ``narrowest`` at least; 1 for few items."""
    return max(1, items // max(GROUPED * count, narrowest))


def _best_of_groups(scores: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """(B,) k-th best of the best scores of groups: no better than the k-th best score, and much quicker to find."""
    rows, items = scores.shape
    deep = group_size(items, int(counts.max()), NARROWEST)
    wide = items // deep
    best = scores
    if deep > 1:
        best = scores[:, : deep * wide].reshape(rows, deep, wide).max(axis=1)
        best = np.concatenate([best, scores[:, deep * wide :]], axis=1)
    places = np.maximum(0, best.shape[1] - counts)
    found: NDArray[np.float32] = np.partition(best, np.unique(places), axis=1)[np.arange(rows), places]
    return found
