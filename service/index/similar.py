"""Neighbours of an item by cosine, exactly: one pass over the catalogue, no second index and no copy of the vectors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import tensor_over
from service.index.order import DECIMALS, STEP, Ranking


class Neighbours:
    """Orders items by cosine rounded to `STEP`, ties by item row; a zero vector is similar to nothing: 0."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Take the (I, d) item vectors."""
        self._vectors = vectors
        lengths = torch.linalg.vector_norm(tensor_over(vectors), dim=1, dtype=torch.float64).numpy()
        self._inverse = np.divide(1.0, lengths, out=np.zeros(len(vectors)), where=lengths > 0)
        self._error = 2 * (vectors.shape[1] + 4) * 2.0**-23

    def top(self, item: int, dropped: NDArray[np.int32], count: int) -> Ranking:
        """The ``count`` items most similar to an item row, itself and dropped ones left out."""
        unit = self._vectors[item].astype(np.float64) * self._inverse[item]
        near = torch.mv(tensor_over(self._vectors), torch.from_numpy(unit.astype(np.float32))).numpy()
        approximate = near * self._inverse
        approximate[dropped] = -np.inf
        approximate[item] = -np.inf
        left = int(np.isfinite(approximate).sum())
        bar = np.partition(approximate, -count)[-count] - self._error - 2 * STEP if left >= count else -np.inf
        rows = np.flatnonzero((approximate >= bar) & np.isfinite(approximate))
        cosines = (self._vectors[rows].astype(np.float64) * unit).sum(axis=1) * self._inverse[rows]
        cosines = np.round(cosines, DECIMALS) + 0.0  # + 0.0: no negative zero
        order = np.lexsort((rows, -cosines))[:count]
        return Ranking(rows[order], cosines[order])
