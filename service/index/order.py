"""The order of every list: by score rounded to `STEP`, ties by item row.

Scores are inner products in float64, one item at a time, so that their last bits do not depend on what else is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.balance import Divergence

DECIMALS = 6
STEP = 10.0**-DECIMALS
"""Scores are rounded to this before they are ordered."""
LONG = 32
"""Items of a row from which on its row is scored alone."""
BLOCK = 512
"""Items scored in float64 at once: their vectors stay in the cache."""

LARGEST = float(np.finfo(np.float32).max) / 2
"""Scores lie between it and its negative, or are refused."""


class ScoreError(ArithmeticError):
    """These vectors cannot be compared."""


class Position(NamedTuple):
    """Where a list continues."""

    row: int
    """Item row of the last item shown; the list continues strictly after it, in the one order that all items have."""
    shown: int
    """Items shown so far: the rank before the next one, and how deep a search has to go at least."""


class Ranking(NamedTuple):
    """The items to show, best first."""

    rows: NDArray[np.int64]
    """(n,) item rows; n is k, or smaller where fewer items are left."""
    scores: NDArray[np.float64]
    """(n,) rounded to `STEP`."""
    divergence: Divergence | None = None
    """Where the order is not that of the scores, but balanced towards a target, and shows anything."""


class ExactScores:
    """Exact scores of items, and the bound on the error of float32."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Take the (I, d) item vectors."""
        self._vectors = vectors
        longest = 0.0
        for start in range(0, len(vectors), BLOCK):  # a float64 copy of them all would be twice their size
            block = vectors[start : start + BLOCK].astype(np.float64)
            longest = max(longest, float(np.sqrt(np.square(block).sum(axis=1).max(initial=0.0))))
        self._longest = longest
        self._error_per_length = vectors.shape[1] * 2.0**-23 * longest

    def of(
        self, u: NDArray[np.float32], items: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """(n,) inner products, rounded; no matrix product, so that each is the same for any other items.

        Args:
            u: (d,) for all items, or (B, d) and ``rows``.
            items: (n,) item rows.
            rows: (n,) for each item its row of ``u``, ascending.
        """
        wide = u.astype(np.float64)
        scores = np.empty(len(items))
        if rows is not None and len(items) > LONG * len(wide):  # one row's vector is then not copied for each item
            ends = np.cumsum(np.bincount(rows, minlength=len(wide))).tolist()
            for own, first, end in zip(wide, [0, *ends], ends, strict=False):
                for start in range(first, end, BLOCK):
                    block = slice(start, min(start + BLOCK, end))
                    scores[block] = self._products(items[block], own)
        else:
            for start in range(0, len(items), BLOCK):
                block = slice(start, start + BLOCK)
                scores[block] = self._products(items[block], wide if rows is None else wide[rows[block]])
        return np.round(scores, DECIMALS) + 0.0  # + 0.0: no negative zero

    def _products(self, items: NDArray[np.int64], own: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) inner products with (d,) or (n, d) vectors, each summed in one order whatever is beside it."""
        found = self._vectors[items].astype(np.float64)
        found *= own
        sums: NDArray[np.float64] = found.sum(axis=1)
        return sums

    def error(self, u: NDArray[np.float32]) -> NDArray[np.float64]:
        """The largest error of a float32 inner product of u with an item: ε = d · 2⁻²³ · ‖u‖ · max ‖v‖.

        Args:
            u: (…, d), a fair vector or several.

        Returns:
            (…,), one for each.

        Raises:
            ScoreError: a sum may leave the range of float32, and has no bound there.

        Source:
            Twice the bound of Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, eq. 3.5.
        """
        length: NDArray[np.float64] = np.sqrt(np.square(u, dtype=np.float64).sum(axis=-1))
        if not (length * self._longest < LARGEST).all():
            raise ScoreError("a score is beyond float32: the bound on its error does not hold")
        error: NDArray[np.float64] = self._error_per_length * length
        return error

    def later(
        self,
        u: NDArray[np.float32],
        last: int,
        items: NDArray[np.int64],
        scores: NDArray[np.float64],
        slack: float,
    ) -> NDArray[np.bool_]:
        """Which items come strictly after the one shown last; exact scores decide where float32 cannot.

        Args:
            u: (d,).
            last: its item row.
            items: (n,) item rows.
            scores: (n,) of them, computed in float32.
            slack: the largest error of two of those together.
        """
        (score,) = self.of(u, np.array([last]))
        later: NDArray[np.bool_] = scores < score - slack
        unsure = np.flatnonzero(np.abs(scores - score) <= slack)
        exact, rows = self.of(u, items[unsure]), items[unsure]
        later[unsure] = (exact < score) | ((exact == score) & (rows > last))
        return later


def by_row(rows: NDArray[np.int64]) -> NDArray[np.intp]:
    """The order that brings each of fewer than 2¹⁶ rows together, and leaves what is in it as it was."""
    return np.argsort(rows.astype(np.uint16), kind="stable")  # numbers of 16 bits are sorted in linear time


def best_of_each(
    rows: NDArray[np.int64], items: NDArray[np.int64], scores: NDArray[np.float64], counts: Sequence[int]
) -> list[Ranking]:
    """The first of each row, as many as ``counts`` says, of all its items with exact scores.

    Args:
        rows: (n,) for each item its row.
        items: (n,) item rows, ascending within each row.
        scores: (n,).
        counts: (B,), fewer than 2¹⁶.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[by_row(rows[order])]
    items, scores = items[order], scores[order]
    starts = [0, *np.cumsum(np.bincount(rows, minlength=len(counts))).tolist()]
    ends = [min(start + count, end) for start, count, end in zip(starts, counts, starts[1:], strict=False)]
    return [Ranking(items[start:end], scores[start:end]) for start, end in zip(starts, ends, strict=False)]


def best(items: NDArray[np.int64], scores: NDArray[np.float64], count: int) -> Ranking:
    """The first ``count`` of items with exact scores."""
    order = np.lexsort((items, -scores))[:count]
    return Ranking(items[order], scores[order])
