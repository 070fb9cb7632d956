"""Exact lists out of as many proposals as needed: the same list for a fair vector on any device, in any batch.

An index that compares every item proposes the best of them, and all rows of a batch are ranked together. For rows whose
proposals do not suffice to prove that no other item enters the list, the search is repeated for more proposals, up to
the whole catalogue.

A later page begins strictly after the last item of the page before, in the one order of all items. This item may be
hidden by then; pages still neither repeat nor skip an item.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict

from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.interface import SearchBatch
from service.index.order import Ranking

WIDEN = 8
"""Factor by which each search asks for more proposals than the one before."""


class ExpandingSearch(ABC):
    """Ranks the proposals to each row, and asks for more where they do not suffice."""

    margin: int
    """Proposals beyond k in the first search."""

    def __init__(self, whole: ExhaustiveRanker, widest: int) -> None:
        """Take the ranker that compares all items, and the largest number of proposals."""
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
        """Rank ``width`` proposals to each row; None for a row that needs more of them."""


def _power_of_two(count: int) -> int:
    """The next power of two from ``count`` up, so that requests for similar numbers are searched together."""
    return 1 << (count - 1).bit_length()


def _by_width(widths: dict[int, int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, width in widths.items():
        groups[width].append(row)
    return groups
