"""Exact lists out of float32 proposals: the same list for the same fair vector, on any device, in any batch.

The order is by score rounded to `STEP`, ties by item row (DESIGN 6), with scores computed in float64 one item at a
time, so that their last bits do not depend on what else is scored. An index only proposes. Its float32 scores are
off by at most ε = d · 2⁻²³ · ‖u‖ · max ‖v‖ (twice the bound of Higham, *Accuracy and Stability*, 2002, eq. 3.5), so
items whose float32 score is more than 2 ε + 2 `STEP` below that of the k-th item to show cannot enter the list. Where
the proposals end before that point, more are asked for, for that row alone, up to the whole catalogue.

A list may begin after an item shown before: strictly after it in the same order, whether or not that item may still be
shown, so that pages neither repeat nor leave out anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.index.flat import Index

DECIMALS = 6
STEP = 10.0**-DECIMALS
"""Scores are rounded to this before they are ordered."""
MARGIN = 32
"""Proposals beyond k in the first search, which takes care of most items that are dropped."""
WIDEN = 8
"""How many times more proposals the next search asks for."""
SPARSE = 16
"""Asking for more than one in so many items is slower than scoring all of them (measured at 3,500 items, d = 64)."""
BLOCK = 65_536
"""Items scored in float64 at once, which bounds memory where many tie."""


class ScoreError(ArithmeticError):
    """These vectors cannot be compared."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list goes on."""

    row: int
    """The last item shown; the list begins strictly after it."""
    shown: int
    """Items shown so far: how deep the search has to go at least."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What to show, best first."""

    rows: NDArray[np.int64]
    """(n,) item rows; n is k, or less where fewer items are left."""
    scores: NDArray[np.float64]
    """(n,) rounded to `STEP`."""


class Ranker:
    """Asks the index, drops what must not be shown, orders the rest exactly."""

    def __init__(self, index: Index, vectors: NDArray[np.float32]) -> None:
        """Take the index and the (I, d) item vectors it was built from."""
        self._index = index
        self._vectors = vectors
        self._everything = np.arange(len(vectors))
        self._widest = min(index.max_count, len(vectors) // SPARSE)
        longest = float(np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=1).max(initial=0.0)))
        self._error_per_length = vectors.shape[1] * 2.0**-23 * longest

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
        """
        rankings: dict[int, Ranking] = {}
        after = [None] * len(fair) if after is None else after
        depths = [count if begin is None else count + begin.shown for count, begin in zip(counts, after, strict=True)]
        widths = dict(enumerate(map(_first_width, depths)))
        while widths:
            for width, group in _by_width(widths).items():
                for row, items, scores in self._propose(fair, group, width):
                    ranking = self._settle(fair[row], items, scores, dropped[row], counts[row], after[row])
                    if ranking is None:
                        widths[row] *= WIDEN
                    else:
                        rankings[row] = ranking
                        del widths[row]
        return [rankings[row] for row in range(len(fair))]

    def _propose(
        self, fair: NDArray[np.float32], group: Sequence[int], width: int
    ) -> list[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
        """For each row of the group the best ``width`` items, best first, or all of them where that is too wide."""
        if width > self._widest:
            return [(row, self._everything, self._index.scores(fair[row])) for row in group]
        return list(zip(group, *self._index.search(fair[group], width), strict=True))

    def _settle(
        self,
        u: NDArray[np.float32],
        items: NDArray[np.int64],
        scores: NDArray[np.float32],
        dropped: NDArray[np.int32],
        count: int,
        after: Position | None,
    ) -> Ranking | None:
        """The exact list, or None where the proposals end too early to tell."""
        complete = len(items) == len(self._vectors)
        kept = np.ones(len(self._vectors), np.bool_)
        kept[dropped] = False
        shown = kept[items]
        items, approximate = items[shown], scores[shown].astype(np.float64)
        if not np.isfinite(approximate).all():
            raise ScoreError("a score is beyond float32: the bound on its error does not hold")
        slack = 2 * self._error_per_length * float(np.sqrt(np.square(u, dtype=np.float64).sum())) + 2 * STEP
        if after is not None:
            later = self._later(u, after.row, items, approximate, slack)
            items, approximate = items[later], approximate[later]
        bar = np.partition(approximate, -count)[-count] - slack if len(items) >= count else -np.inf
        if not complete and scores[-1] >= bar:
            return None
        items = items[approximate >= bar]
        exact = self._exact_scores(u, items)
        order = np.lexsort((items, -exact))[:count]
        return Ranking(items[order], exact[order])

    def _later(
        self,
        u: NDArray[np.float32],
        last: int,
        items: NDArray[np.int64],
        approximate: NDArray[np.float64],
        slack: float,
    ) -> NDArray[np.bool_]:
        """Which items come strictly after the last one shown; exact scores settle what float32 leaves open."""
        (score,) = self._exact_scores(u, np.array([last]))
        later: NDArray[np.bool_] = approximate < score - slack
        unsure = np.flatnonzero(np.abs(approximate - score) <= slack)
        exact, rows = self._exact_scores(u, items[unsure]), items[unsure]
        later[unsure] = (exact < score) | ((exact == score) & (rows > last))
        return later

    def _exact_scores(self, u: NDArray[np.float32], items: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) inner products, rounded; each the same whatever the other items are: no matrix product."""
        wide = u.astype(np.float64)
        scores = np.empty(len(items))
        for start in range(0, len(items), BLOCK):
            block = slice(start, start + BLOCK)
            scores[block] = (self._vectors[items[block]].astype(np.float64) * wide).sum(axis=1)
        return np.round(scores, DECIMALS) + 0.0  # + 0.0: no negative zero


def _first_width(count: int) -> int:
    """A power of two, so that requests for nearly as many items are searched together."""
    return 1 << (count + MARGIN - 1).bit_length()


def _by_width(widths: dict[int, int]) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for row, width in widths.items():
        groups[width].append(row)
    return groups
