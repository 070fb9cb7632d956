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

from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.interface import SearchBatch
from service.index.order import Ranking

WIDEN = 8
"""How many times more proposals the next search asks for."""


class ExpandingSearch(ABC):
    """Settles rows with what is proposed to them, and asks for more proposals where that is too little."""

    margin: int
    """Proposals beyond k in the first search."""

    def __init__(self, whole: ExhaustiveRanker, widest: int) -> None:
        """Take what compares all items, and how many can be proposed."""
        self._whole = whole
        self._exact = whole.exact
        self._widest = widest

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """Rank the catalogue for each row; as `ExhaustiveRanker.top`, and the same lists."""
        rankings: dict[int, Ranking] = {}
        widths = {row: _power_of_two(depth + self.margin) for row, depth in enumerate(batch.depths)}
        while proposable := {row: width for row, width in widths.items() if width <= self._widest}:
            for width, group in _by_width(proposable).items():
                for row, ranking in zip(group, self._settle(batch.take(group), width), strict=True):
                    if ranking is None:
                        widths[row] *= WIDEN
                    else:
                        rankings[row] = ranking
                        del widths[row]
        return self._whole.complete(rankings, batch)

    @abstractmethod
    def _settle(self, batch: SearchBatch, width: int) -> list[Ranking | None]:
        """Rank ``width`` proposals to each row; None where the proposals end too early to tell."""


def _power_of_two(count: int) -> int:
    """Or more, so that requests for nearly as many items are searched together."""
    return 1 << (count - 1).bit_length()


def _by_width(widths: dict[int, int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, width in widths.items():
        groups[width].append(row)
    return groups
