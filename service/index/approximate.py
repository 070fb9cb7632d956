"""Lists out of an index that misses some items: its proposals are scored again and put into the exact order.

Such a list cannot be proven; `service.index.tune` measures it. This module promises:

* An index is searched through windows, each wider than the one before, until enough items are left that may be shown;
  after the last window the whole catalogue is scored, and the list is exact. No dropped item is shown, and a list is
  shorter than k only where the catalogue has no more.
* A row has found the proposals of all its windows so far. Of a full window only those items count whose score is above
  the window's last one (by more than the error of float32), so that no list ends within a tie that the window cut.
* A list is a function of its row alone: the index proposes the same to a row in any batch, and the items found are
  scored in float64, one at a time.
* Pages neither repeat an item nor skip one that an earlier page had found. A page begins strictly after the last item
  shown, in the one order that all items have: no repeats. It stops at the first window that leaves ``shown + count``
  items, ``count`` of them after that item. The items found only grow from window to window, and a window that is too
  narrow for a page is too narrow for every later page; so a later page has found all items that an earlier one had.
  An item that only a wider window finds, and that belongs before the last one shown, is not shown any more.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.interface import Approximate, SearchBatch
from service.index.order import STEP, Position, Ranking, best

FEW = 2048
"""Up to so many dropped rows are looked up one by one; for more, a mask of the whole catalogue is quicker."""


@dataclass(slots=True)
class _Row:
    """The items that one row has found so far."""

    items: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Ascending, each once, without dropped ones."""
    end: float = np.inf
    """All items that score more than this are found; minus infinity where the index has no more."""


class ApproximateRanker:
    """Asks an approximate index, drops the items that must not be shown, orders the others; see the module."""

    def __init__(self, index: Approximate, whole: ExhaustiveRanker) -> None:
        """Take the index, and the ranker that compares all items that it was built from."""
        self._index = index
        self._items = whole.items
        self._whole = whole
        self._exact = whole.exact

    def over(self, index: Approximate) -> ApproximateRanker:
        """The same ranker for another index of these vectors."""
        other = copy(self)
        other._index = index
        return other

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """Rank the items that the index finds for each row; answers and errors as those of `ExhaustiveRanker.top`."""
        fair, dropped = batch.fair, batch.dropped
        rankings: dict[int, Ranking] = {}
        found = {row: _Row() for row, depth in enumerate(batch.depths) if self._is_hopeful(dropped[row], depth)}
        for window in self._index.windows:
            if not found:
                break
            group = list(found)
            proposed = self._index.search(fair[group], window, [dropped[row] for row in group])
            for row, items, scores in zip(group, *proposed, strict=True):
                self._add(found[row], items, scores, dropped[row])
                ranking = self._settle(fair[row], found[row], batch.counts[row], batch.after[row])
                if ranking is not None:
                    rankings[row] = ranking
                    del found[row]
        return self._whole.complete(rankings, batch)

    def _is_hopeful(self, dropped: NDArray[np.int32], depth: int) -> bool:
        """Whether the widest window would leave enough items if the dropped ones were spread evenly."""
        widest = max(self._index.windows, default=0)
        return widest * (self._items - len(dropped)) >= depth * self._items

    def _add(
        self, row: _Row, items: NDArray[np.int64], scores: NDArray[np.float32], dropped: NDArray[np.int32]
    ) -> None:
        full = items[-1] >= 0
        row.end = min(row.end, float(scores[-1])) if full else -np.inf
        items = items if full else items[items >= 0]
        items = np.union1d(row.items, items) if len(row.items) else np.sort(items)
        row.items = items[self._kept(items, dropped)]

    def _kept(self, items: NDArray[np.int64], dropped: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of some items, ascending, may be shown."""
        if len(dropped) > FEW:
            allowed = np.ones(self._items, np.bool_)
            allowed[dropped] = False
            return allowed[items]
        kept = np.ones(len(items), np.bool_)
        if len(items):
            places = np.minimum(np.searchsorted(items, dropped), len(items) - 1)
            kept[places[items[places] == dropped]] = False
        return kept

    def _settle(self, u: NDArray[np.float32], row: _Row, count: int, after: Position | None) -> Ranking | None:
        """The list of the items found, or None where they are too few."""
        slack = float(self._exact.error(u)) + STEP
        scores = self._exact.of(u, row.items)
        sure = scores > row.end + slack
        items, scores = row.items[sure], scores[sure]
        if after is not None:
            if len(items) < count + after.shown:
                return None
            (last,) = self._exact.of(u, np.array([after.row]))
            later = (scores < last) | ((scores == last) & (items > after.row))
            items, scores = items[later], scores[later]
        return best(items, scores, count) if len(items) >= count else None
