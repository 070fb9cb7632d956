"""Candidates in the order of the bundle's reranker, for a base model whose score is not an inner product.

The inner products of the fair vector give the best items that may be shown; the reranker scores them in float64, one
request at a time, so that a list does not depend on its batch. Order: score rounded to `STEP`, ties by item row. Pages
go through the candidates and end with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bundle import ExactReranker, MlpReranker
from service.index.interface import Ranker, SearchBatch
from service.index.order import DECIMALS, Position, Ranking, ScoreError


class CandidateRanker:
    """Answers as other rankers do, in the order of the reranker."""

    def __init__(self, ranker: Ranker, reranker: MlpReranker) -> None:
        """Take the ranker that proposes candidates, and the bundle's reranker."""
        self._ranker = ranker
        self._scores = ExactReranker(reranker)
        self._candidates = reranker.spec.candidates

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """Rank candidates for each row: at least as many as it shows, none of its dropped items.

        A list continues after a position in the order of the reranker.

        Returns:
            A ranking for each row, a function of that row alone.
        """
        candidates = [max(count, self._candidates) for count in batch.counts]
        proposed = self._ranker.top(SearchBatch(batch.fair, batch.dropped, candidates))
        rows = zip(batch.fair, proposed, batch.counts, batch.after, strict=True)
        return [self._reordered(u, each.rows, count, position) for u, each, count, position in rows]

    def _reordered(
        self, u: NDArray[np.float32], rows: NDArray[np.int64], count: int, after: Position | None
    ) -> Ranking:
        scores = self._rounded(u, rows)
        if after is not None:
            (last,) = self._rounded(u, np.array([after.row]))
            later = (scores < last) | ((scores == last) & (rows > after.row))
            rows, scores = rows[later], scores[later]
        order = np.lexsort((rows, -scores))[:count]
        return Ranking(rows[order], scores[order])

    def _rounded(self, u: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        exact = self._scores(u[None], rows[None])[0]
        scores: NDArray[np.float64] = np.round(exact, DECIMALS) + 0.0  # + 0.0: no negative zero
        if not np.isfinite(scores).all():
            raise ScoreError("a score is not finite: these candidates cannot be ordered")
        return scores
