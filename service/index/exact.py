"""Exact lists out of float32 proposals: the same list for the same fair vector, on any device, in any batch.

An index that compares every item only proposes. As in `service.index.whole`, items whose float32 score is more than
2 ε + 2 `STEP` below that of the k-th item to show cannot enter the list. Where the proposals end before that point,
more are asked for, for that row alone, up to the whole catalogue.

A list may begin after an item shown before: strictly after it in the same order, whether or not that item may still be
shown, so that pages neither repeat nor leave out anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.index.interface import SPARSE, Index
from service.index.order import STEP, Position, Ranking, best
from service.index.whole import WholeRanker

MARGIN = 32
"""Proposals beyond k in the first search, which takes care of most items that are dropped."""
WIDEN = 8
"""How many times more proposals the next search asks for."""


class Ranker:
    """Asks an exact index, drops what must not be shown, orders the rest."""

    def __init__(self, index: Index, whole: WholeRanker) -> None:
        """Take the index, and what compares all items that it was built from."""
        self._index = index
        self._whole = whole
        self._exact = whole.exact
        self._items = whole.items
        self._widest = min(index.max_count, whole.items // SPARSE)

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
        widths = dict(enumerate(map(_first_width, depths)))
        while proposable := {row: width for row, width in widths.items() if width <= self._widest}:
            for width, group in _by_width(proposable).items():
                for row, items, scores in self._propose(fair, dropped, group, width):
                    ranking = self._settle(fair[row], items, scores, width, dropped[row], counts[row], after[row])
                    if ranking is None:
                        widths[row] *= WIDEN
                    else:
                        rankings[row] = ranking
                        del widths[row]
        return self._whole.complete(rankings, fair, dropped, counts, after)

    def _propose(
        self, fair: NDArray[np.float32], dropped: Sequence[NDArray[np.int32]], group: Sequence[int], width: int
    ) -> list[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
        """For each row of the group the best ``width`` items, best first."""
        rows, scores = self._index.search(fair[group], width, [dropped[row] for row in group])
        ends = (rows >= 0).sum(axis=1)
        return [(row, rows[at, :end], scores[at, :end]) for at, (row, end) in enumerate(zip(group, ends, strict=True))]

    def _settle(
        self,
        u: NDArray[np.float32],
        items: NDArray[np.int64],
        scores: NDArray[np.float32],
        width: int,
        dropped: NDArray[np.int32],
        count: int,
        after: Position | None,
    ) -> Ranking | None:
        """The exact list, or None where the proposals end too early to tell."""
        slack = 2 * float(self._exact.error(u)) + 2 * STEP
        kept = np.ones(self._items, np.bool_)
        kept[dropped] = False
        shown = kept[items]
        end = (
            scores[-1] if len(items) == width < self._items else -np.inf
        )  # the index may have left out what is dropped
        items, approximate = items[shown], scores[shown].astype(np.float64)
        if after is not None:
            later = self._exact.later(u, after.row, items, approximate, slack)
            items, approximate = items[later], approximate[later]
        bar = np.partition(approximate, -count)[-count] - slack if len(items) >= count else -np.inf
        if end > -np.inf and end >= bar:
            return None
        items = items[approximate >= bar]
        return best(items, self._exact.of(u, items), count)


def _first_width(count: int) -> int:
    """A power of two, so that requests for nearly as many items are searched together."""
    return 1 << (count + MARGIN - 1).bit_length()


def _by_width(widths: dict[int, int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, width in widths.items():
        groups[width].append(row)
    return groups
