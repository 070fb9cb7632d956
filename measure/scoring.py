"""The scores that order items for a user, so that everything is measured in the order that is served.

Inner products order the catalogue; scores are rounded to 1e-6, ties by item row. A model that is no inner product has
scores of its own besides: inner products then only propose candidates, and those scores order them. An item that is no
candidate stays behind all candidates, where the inner product put it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

SCORE_STEP = 1e-6

Scores = Callable[[Floats, Ints], NDArray[np.float64]]
"""(n, d) user vectors and (n, c) item rows → (n, c) scores."""


@dataclass(frozen=True)
class Scorer:
    """Scores items: by inner products alone, or by a model's own scores of the candidates that these propose."""

    items: Floats
    """(I, d) vectors of the inner product. For a cosine scorer pass unit vectors, here and for the users."""
    own: Scores | None = None
    """Scores of a model that is no inner product."""
    candidates: int = 0
    """How many items the inner product proposes to ``own``; more where a longer list is asked for."""

    def scores(self, users: Floats, rows: Ints) -> NDArray[np.float64]:
        """(n, d) user vectors and (n, c) item rows → (n, c) scores of the model itself, candidates or not."""
        if self.own is not None:
            return self.own(users, rows)
        scores: NDArray[np.float64] = np.einsum(
            "ij,ikj->ik", users.astype(np.float64), self.items[rows].astype(np.float64)
        )
        return scores

    def without_candidates(self) -> "Scorer":
        """The same with the whole catalogue scored by the model itself, to compare the candidate step with."""
        return replace(self, candidates=len(self.items)) if self.own else self


def in_steps(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round scores to whole steps of 1e-6, kept as whole numbers so that equal means equal."""
    return np.rint(scores / SCORE_STEP)


def to_unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, d) vectors scaled to length 1, for a cosine; zero vectors stay zero."""
    exact = vectors.astype(np.float64)
    length = np.sqrt(np.square(exact).sum(axis=1, keepdims=True))
    return (exact / np.where(length > 0, length, 1)).astype(np.float32)
