"""Exact lists from the scores of every item, all rows of a batch together, one tile of items after the other.

A tile holds so many items that their scores for all rows stay in the processor's cache: to write the scores of a large
catalogue to memory, and to read them again, takes longer than the product. Of each tile the items that may enter a list
are kept (`service.index.passing`), and in the end these few are scored exactly.

No index takes part. The vectors are the bundle's own: a large catalogue is not held twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.index.interface import SPARSE, Dropped, SearchBatch
from service.index.order import STEP, ExactScores, Ranking, best_of_each
from service.index.passing import Passing
from service.index.product import Products

Cells: TypeAlias = tuple[Any, NDArray[np.integer[Any]]]
"""One row or the row of each, and columns."""

ROWS = 128
"""Rows that are ranked together: with more of them a product is hardly quicker, and tiles are narrower."""
TILE = 2**20
"""Scores of a tile: 4 MiB."""
WHOLE = 2**24
"""Scores of a tile that has all items, where most of these are dropped: 64 MiB."""
MOST_KEPT = 2**22
"""Items kept for a batch; one that needs more, as nearly all items tie, is ranked in halves."""


class ExhaustiveRanker:
    """Scores every item, drops the items that must not be shown, and orders the others."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Take the (I, d) item vectors."""
        self.exact = ExactScores(vectors)
        self.items = len(vectors)
        self._products = Products(vectors)

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """Rank the catalogue for each row.

        Returns:
            A ranking for each row, a function of that row alone.

        Raises:
            ScoreError: scores may be beyond float32.
        """
        return [ranking for step, wide in self._steps(batch) for ranking in self._top(step, wide)]

    def complete(self, rankings: dict[int, Ranking], batch: SearchBatch) -> list[Ranking]:
        """The rankings of all rows, as `top`: ``rankings`` has some of them already, the others are made here."""
        if rest := [row for row in range(len(batch)) if row not in rankings]:
            rankings |= zip(rest, self.top(batch.take(rest)), strict=True)
        return [rankings[row] for row in range(len(batch))]

    def _steps(self, batch: SearchBatch) -> Iterator[tuple[SearchBatch, int]]:
        """Rows that are ranked together, and how many items a tile of theirs has."""
        for step in batch.steps(ROWS):
            if SPARSE * sum(map(len, step.dropped)) <= len(step) * self.items:
                yield step, min(self.items, TILE // len(step))
            else:  # to sort them by tile would take longer than all the rest
                yield from ((part, self.items) for part in step.steps(max(1, WHOLE // max(1, self.items))))

    def _top(self, batch: SearchBatch, wide: int) -> list[Ranking]:
        passing = self._passing(batch, wide)
        if passing is None:
            half = -(-len(batch) // 2)
            return [ranking for step in batch.steps(half) for ranking in self._top(step, wide)]
        rows, items = passing.found()
        return best_of_each(rows, items, self.exact.of(batch.fair, items, rows), batch.counts)

    def _passing(self, batch: SearchBatch, wide: int) -> Passing | None:
        """The items that may enter the lists; None where they are too many to hold."""
        slack = 2 * self.exact.error(batch.fair) + 2 * STEP
        passing = Passing(batch.counts, slack)
        space = np.empty(len(batch) * wide, np.float32)
        starts = range(0, self.items, max(1, wide))
        for first, dropped in zip(starts, _by_tile(batch.dropped, wide, len(starts)), strict=True):
            items = np.arange(first, min(first + wide, self.items))
            scores = space[: len(batch) * len(items)].reshape(len(batch), -1)
            self._products.into(scores, batch.fair, first)
            for row, position in enumerate(batch.after):
                if position is not None:
                    near = scores[row].astype(np.float64)
                    scores[row, ~self.exact.later(batch.fair[row], position.row, items, near, slack[row])] = -np.inf
            for rows, columns in dropped:
                scores[rows, columns] = -np.inf
            passing.add(scores, first)
            if passing.size > MOST_KEPT and len(batch) > 1:
                return None
        return passing


def _by_tile(dropped: Dropped, wide: int, tiles: int) -> Sequence[Sequence[Cells]]:
    """For each tile the cells of its dropped items."""
    if tiles < 2:
        return [list(enumerate(dropped))] * tiles
    rows = np.repeat(np.arange(len(dropped)), [len(gone) for gone in dropped])
    numbers, columns = np.divmod(np.concatenate(dropped), wide)
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    ends = np.cumsum(np.bincount(numbers, minlength=tiles))[:-1]
    return [[cells] for cells in zip(np.split(rows[order], ends), np.split(columns[order], ends), strict=True)]
