"""Exact lists out of float32 proposals: the same list for the same fair vector, on any device, in any batch.

An index that compares every item only proposes, and all rows of a batch are settled together. As in
`service.index.whole`, items whose float32 score is more than 2 ε + 2 `STEP` below that of the k-th item to show cannot
enter the list. Where the proposals end before that point, more are asked for, for that row alone, up to the whole
catalogue.

A list may begin after an item shown before: strictly after it in the same order, whether or not that item may still be
shown, so that pages neither repeat nor leave out anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.index.interface import SPARSE, Dropped, Proposing
from service.index.order import STEP, Position, Ranking, best_of_each
from service.index.whole import WholeRanker

WIDEN = 8
"""How many times more proposals the next search asks for."""


class Widening(ABC):
    """Settles rows with what is proposed to them, and asks for more proposals where that is too little."""

    margin: int
    """Proposals beyond k in the first search."""

    def __init__(self, whole: WholeRanker, widest: int) -> None:
        """Take what compares all items, and how many can be proposed."""
        self._whole = whole
        self._exact = whole.exact
        self._widest = widest

    def top(
        self,
        fair: NDArray[np.float32],
        dropped: Sequence[NDArray[np.int32]],
        counts: Sequence[int],
        after: Sequence[Position | None] | None = None,
    ) -> list[Ranking]:
        """Rank the catalogue for each row; as `WholeRanker.top`, and the same lists."""
        rankings: dict[int, Ranking] = {}
        after = [None] * len(fair) if after is None else after
        depths = [count if begin is None else count + begin.shown for count, begin in zip(counts, after, strict=True)]
        widths = {row: _power_of_two(depth + self.margin) for row, depth in enumerate(depths)}
        while proposable := {row: width for row, width in widths.items() if width <= self._widest}:
            for width, group in _by_width(proposable).items():
                found = self._settle(
                    fair[group],
                    width,
                    [dropped[row] for row in group],
                    [counts[row] for row in group],
                    [after[row] for row in group],
                )
                for row, ranking in zip(group, found, strict=True):
                    if ranking is None:
                        widths[row] *= WIDEN
                    else:
                        rankings[row] = ranking
                        del widths[row]
        return self._whole.complete(rankings, fair, dropped, counts, after)

    @abstractmethod
    def _settle(
        self,
        fair: NDArray[np.float32],
        width: int,
        dropped: Dropped,
        counts: Sequence[int],
        after: Sequence[Position | None],
    ) -> list[Ranking | None]:
        """Rank what is proposed to each row; None where the proposals end too early to tell."""


class Ranker(Widening):
    """Asks an exact index, drops what must not be shown, orders the rest."""

    margin = 32  # which takes care of most items that are dropped

    def __init__(self, index: Proposing, whole: WholeRanker) -> None:
        """Take the index, and what compares all items that it was built from."""
        super().__init__(whole, min(index.max_count, whole.items // SPARSE))
        self._index = index
        self._items = whole.items

    def _settle(
        self,
        fair: NDArray[np.float32],
        width: int,
        dropped: Dropped,
        counts: Sequence[int],
        after: Sequence[Position | None],
    ) -> list[Ranking | None]:
        slack = 2 * self._exact.error(fair) + 2 * STEP
        items, scores = self._index.search(fair, width, dropped)
        near = np.where(items >= 0, scores.astype(np.float64), -np.inf)
        # The index may have left out what is dropped, but nothing else that is better than its last proposal.
        ends = near[:, -1].copy() if width < self._items else np.full(len(fair), -np.inf)
        self._drop(near, items, dropped)
        for row, begin in enumerate(after):
            if begin is not None:
                later = self._exact.later(fair[row], begin.row, items[row], near[row], slack[row])
                near[row, ~later] = -np.inf
        places = [width - count for count in counts]
        bars = np.partition(near, sorted(set(places)), axis=1)[np.arange(len(fair)), places] - slack
        settled = (ends == -np.inf) | (ends < bars)
        rows, columns = np.nonzero((near >= bars[:, None]) & (near > -np.inf) & settled[:, None])
        passing = items[rows, columns]
        rankings = best_of_each(rows, passing, self._exact.of(fair, passing, rows), counts)
        return [ranking if sure else None for ranking, sure in zip(rankings, settled.tolist(), strict=True)]

    def _drop(self, near: NDArray[np.float64], items: NDArray[np.int64], dropped: Dropped) -> None:
        """Leave out of each row what must not be shown there."""
        gone = np.zeros(self._items, np.bool_)  # for one row after the other
        for row, these in enumerate(dropped):
            if len(these):
                gone[these] = True
                near[row, gone[items[row]]] = -np.inf
                gone[these] = False


def _power_of_two(count: int) -> int:
    """Or more, so that requests for nearly as many items are searched together."""
    return 1 << (count - 1).bit_length()


def _by_width(widths: dict[int, int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, width in widths.items():
        groups[width].append(row)
    return groups
