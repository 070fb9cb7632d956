"""Exact lists out of float32 proposals: the same list for the same fair vector, on any device, in any batch.

An index that compares every item only proposes. Its float32 scores are off by at most ε (`ExactScores.error`), so
items whose float32 score is more than 2 ε + 2 `STEP` below that of the k-th item to show cannot enter the list. Where
the proposals end before that point, more are asked for, for that row alone, up to the whole catalogue.

A list may begin after an item shown before: strictly after it in the same order, whether or not that item may still be
shown, so that pages neither repeat nor leave out anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.index.interface import SPARSE, Index
from service.index.order import STEP, ExactScores, Position, Ranking, best

MARGIN = 32
"""Proposals beyond k in the first search, which takes care of most items that are dropped."""
WIDEN = 8
"""How many times more proposals the next search asks for."""


class Ranker:
    """Asks an exact index, drops what must not be shown, orders the rest."""

    def __init__(self, index: Index, vectors: NDArray[np.float32]) -> None:
        """Take the index and the (I, d) item vectors it was built from."""
        self._index = index
        self.exact = ExactScores(vectors)
        self._everything = np.arange(len(vectors))
        self._widest = min(index.max_count, len(vectors) // SPARSE)

    def top(
        self,
        fair: NDArray[np.float32],
        dropped: Sequence[NDArray[np.int32]],
        counts: Sequence[int],
        after: Sequence[Position | None] | None = None,
    ) -> list[Ranking]:
        """Rank the catalogue for each row.

        Args:
            fair: (B, d) fair vectors.
            dropped: for each row the item rows never to show.
            counts: for each row how many items to show, at least 1; the k of the module's description.
            after: for each row where its list goes on; None, or None in it, for the beginning.

        Returns:
            A ranking for each row, a function of that row alone.

        Raises:
            ScoreError: scores may be beyond float32.
        """
        rankings: dict[int, Ranking] = {}
        after = [None] * len(fair) if after is None else after
        depths = [count if begin is None else count + begin.shown for count, begin in zip(counts, after, strict=True)]
        widths = dict(enumerate(map(_first_width, depths)))
        while widths:
            for width, group in _by_width(widths).items():
                for row, items, scores in self._propose(fair, dropped, group, width):
                    whole = len(items) < width or len(items) == len(self._everything)
                    ranking = self._settle(fair[row], items, scores, whole, dropped[row], counts[row], after[row])
                    if ranking is None:
                        widths[row] *= WIDEN
                    else:
                        rankings[row] = ranking
                        del widths[row]
        return [rankings[row] for row in range(len(fair))]

    def whole(
        self, u: NDArray[np.float32], dropped: NDArray[np.int32], count: int, after: Position | None = None
    ) -> Ranking:
        """The list of one row by scoring every item, for whom proposals are of no use."""
        ranking = self._settle(u, self._everything, self._index.scores(u), True, dropped, count, after)
        assert ranking is not None  # noqa: S101  nothing is left that could be asked for
        return ranking

    def _propose(
        self, fair: NDArray[np.float32], dropped: Sequence[NDArray[np.int32]], group: Sequence[int], width: int
    ) -> list[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
        """For each row of the group the best ``width`` items, best first, or all of them where that is too wide."""
        if width > self._widest:
            return [(row, self._everything, self._index.scores(fair[row])) for row in group]
        rows, scores = self._index.search(fair[group], width, [dropped[row] for row in group])
        ends = (rows >= 0).sum(axis=1)
        return [(row, rows[at, :end], scores[at, :end]) for at, (row, end) in enumerate(zip(group, ends, strict=True))]

    def _settle(
        self,
        u: NDArray[np.float32],
        items: NDArray[np.int64],
        scores: NDArray[np.float32],
        whole: bool,
        dropped: NDArray[np.int32],
        count: int,
        after: Position | None,
    ) -> Ranking | None:
        """The exact list, or None where the proposals end too early to tell; ``whole``: nothing comes behind them."""
        slack = 2 * self.exact.error(u) + 2 * STEP
        kept = np.ones(len(self._everything), np.bool_)
        kept[dropped] = False
        shown = kept[items]
        end = None if whole else scores[-1]
        items, approximate = items[shown], scores[shown].astype(np.float64)
        if after is not None:
            later = self._later(u, after.row, items, approximate, slack)
            items, approximate = items[later], approximate[later]
        bar = np.partition(approximate, -count)[-count] - slack if len(items) >= count else -np.inf
        if end is not None and end >= bar:
            return None
        items = items[approximate >= bar]
        return best(items, self.exact.of(u, items), count)

    def _later(
        self,
        u: NDArray[np.float32],
        last: int,
        items: NDArray[np.int64],
        approximate: NDArray[np.float64],
        slack: float,
    ) -> NDArray[np.bool_]:
        """Which items come strictly after the last one shown; exact scores settle what float32 leaves open."""
        (score,) = self.exact.of(u, np.array([last]))
        later: NDArray[np.bool_] = approximate < score - slack
        unsure = np.flatnonzero(np.abs(approximate - score) <= slack)
        exact, rows = self.exact.of(u, items[unsure]), items[unsure]
        later[unsure] = (exact < score) | ((exact == score) & (rows > last))
        return later


def _first_width(count: int) -> int:
    """A power of two, so that requests for nearly as many items are searched together."""
    return 1 << (count + MARGIN - 1).bit_length()


def _by_width(widths: dict[int, int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, width in widths.items():
        groups[width].append(row)
    return groups
