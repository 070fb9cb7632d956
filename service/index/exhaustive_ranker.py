"""Exact lists from the scores of every item, all rows of a batch together: one matrix product, one cut, one order.

No index takes part. The error of a float32 score is at most ε (`ExactScores.error`), so an item whose float32 score is
more than 2 ε + 2 `STEP` below that of the k-th item to show cannot enter the list; the few others are scored exactly.
The vectors are the bundle's own: a large catalogue is not held twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import local

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import tensor_over
from service.index.interface import SearchBatch
from service.index.order import LARGEST, STEP, ExactScores, Ranking, best_of_each

SCRATCH_BYTES = 64 * 2**20
"""Memory for the scores of one step, which each thread keeps; a batch with more scores takes several steps."""
GROUPED = 16
"""Groups for each item to show: with so many, hardly any other item passes the bar."""
NARROWEST = 4096
"""Fewest groups: a search through fewer is not quicker."""

_kept = local()


def let_go() -> None:
    """Free the memory that this thread keeps. Call it in a thread that makes no more lists for now."""
    vars(_kept).clear()


class ExhaustiveRanker:
    """Scores every item, drops the items that must not be shown, and orders the others."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Take the (I, d) item vectors."""
        self.exact = ExactScores(vectors)
        self._vectors = tensor_over(vectors)
        self._everything = np.arange(len(vectors))
        self.items = len(vectors)
        self._step = max(1, SCRATCH_BYTES // (4 * max(1, len(vectors))))

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """Rank the catalogue for each row.

        Returns:
            A ranking for each row, a function of that row alone.

        Raises:
            ScoreError: scores may be beyond float32.
        """
        return [ranking for step in batch.steps(self._step) for ranking in self._top(step)]

    def complete(self, rankings: dict[int, Ranking], batch: SearchBatch) -> list[Ranking]:
        """The rankings of all rows, as `top`: ``rankings`` has some of them already, the others are made here."""
        if rest := [row for row in range(len(batch)) if row not in rankings]:
            rankings |= zip(rest, self.top(batch.take(rest)), strict=True)
        return [rankings[row] for row in range(len(batch))]

    def _top(self, batch: SearchBatch) -> list[Ranking]:
        fair, counts = batch.fair, batch.counts
        slack = 2 * self.exact.error(fair) + 2 * STEP
        scores = self._scores(fair)
        for row, position in enumerate(batch.after):
            if position is not None:
                near = scores[row].astype(np.float64)
                scores[row, ~self.exact.later(fair[row], position.row, self._everything, near, slack[row])] = -np.inf
        for row, gone in enumerate(batch.dropped):
            scores[row, gone] = -np.inf
        passing = np.flatnonzero(scores >= _bars(scores, counts, slack)[:, None])
        rows, items = np.divmod(passing, max(1, self.items))
        return best_of_each(rows, items, self.exact.of(fair, items, rows), counts)

    def _scores(self, fair: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, I), valid until this thread's next call: new memory for them would take half as long as the product."""
        needed = len(fair) * self.items
        kept: torch.Tensor | None = getattr(_kept, "scores", None)
        if kept is None or len(kept) < needed:
            kept = _kept.scores = torch.empty(max(needed, SCRATCH_BYTES // 4))  # untouched pages cost nothing
        return torch.mm(torch.from_numpy(fair), self._vectors.T, out=kept[:needed].view(len(fair), -1)).numpy()


def _bars(scores: NDArray[np.float32], counts: Sequence[int], slack: NDArray[np.float64]) -> NDArray[np.float32]:
    """(B,) lowest float32 scores of items that may enter each list; without a k-th item to show, every item may.

    The k-th best of the best of `_groups` is no better than the k-th best item, and much quicker to find.
    """
    best = _groups(scores, group_size(scores.shape[1], max(counts)))
    size = best.shape[1]
    if not size:
        return np.zeros(len(scores), np.float32)
    places = [max(0, size - count) for count in counts]
    ordered = np.partition(best, sorted(set(places)), axis=1)
    bars = ordered[np.arange(len(scores)), places] - slack
    # Above minus infinity, which is no score; and rounded to float32 downwards.
    return np.nextafter(np.maximum(bars, -LARGEST).astype(np.float32), np.float32(-np.inf))


def group_size(items: int, count: int) -> int:
    """Items in one group for lists of ``count``; 1 where there are few items."""
    return max(1, items // max(GROUPED * count, NARROWEST))


def _groups(scores: NDArray[np.float32], deep: int) -> NDArray[np.float32]:
    """The best score of each group of ``deep`` items, (B, groups)."""
    rows, items = scores.shape
    wide = items // deep
    if deep == 1:
        return scores
    best = scores[:, : deep * wide].reshape(rows, deep, wide).max(axis=1)
    return np.concatenate([best, scores[:, deep * wide :]], axis=1)
