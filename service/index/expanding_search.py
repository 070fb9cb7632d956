"""Exact lists out of proposals, as many as it takes: the same list for a fair vector, on any device, in any batch.

An index that compares every item proposes the best of them, and all rows of a batch are settled together. Where the
proposals end before it is sure that nothing else enters the list, more are asked for, for those rows alone, up to
the whole catalogue.

A list may begin after an item shown before: strictly after it in the same order, whether or not that item may still be
shown, so that pages neither repeat nor leave out anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.index.exhaustive_ranker import WholeRanker
from service.index.interface import Dropped
from service.index.order import Position, Ranking

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


def _power_of_two(count: int) -> int:
    """Or more, so that requests for nearly as many items are searched together."""
    return 1 << (count - 1).bit_length()


def _by_width(widths: dict[int, int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, width in widths.items():
        groups[width].append(row)
    return groups
