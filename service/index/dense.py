"""Exact search by torch: matrix product → mask → top k, on the CPU or on one GPU.

On the CPU it shares the bundle's vectors, so that a large catalogue is not held twice. What is dropped is masked before
the cut, so that nobody needs a wider search.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import tensor_over
from service.index.flat import score_all
from service.index.interface import Dropped, Proposals

SCRATCH_BYTES = 64 * 2**20
"""Memory for the scores of one step; a batch takes several steps where its scores are more."""


class TorchIndex:
    """Exact up to float32 rounding; float32 throughout, so that the bound on its error holds on a GPU as well."""

    kind: Literal["torch"] = "torch"
    trouble = None

    def __init__(self, vectors: NDArray[np.float32], device: Literal["cpu", "cuda"]) -> None:
        """Take the (I, d) item vectors; on a GPU copy them there.

        Raises:
            RuntimeError: they do not fit.
        """
        self.device: Literal["cpu", "cuda"] = device
        self.max_count = len(vectors)
        self._vectors = tensor_over(vectors)
        self._there = self._vectors.to(device)
        self._step = max(1, SCRATCH_BYTES // (4 * max(1, len(vectors))))

    def search(self, vectors: NDArray[np.float32], count: int, dropped: Dropped) -> Proposals:
        """(B, d) vectors → rows (B, count), -1 behind the last item kept, and scores (B, count), best first."""
        parts = [
            self._search(vectors[start : start + self._step], count, dropped[start : start + self._step])
            for start in range(0, len(vectors), self._step)
        ]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts])

    def scores(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """(d,) vector → the score of every item, (I,)."""
        if self.device == "cpu":
            return score_all(self._vectors, vector)
        scores: NDArray[np.float32] = torch.mv(self._there, torch.from_numpy(vector).to(self.device)).cpu().numpy()
        return scores

    def _search(self, vectors: NDArray[np.float32], count: int, dropped: Dropped) -> Proposals:
        with torch.inference_mode():
            scores = torch.from_numpy(vectors).to(self.device) @ self._there.T
            if cells := [
                row * len(self._there) + gone.astype(np.int64) for row, gone in enumerate(dropped) if len(gone)
            ]:
                scores.view(-1)[torch.from_numpy(np.concatenate(cells)).to(self.device)] = -torch.inf
            best, rows = torch.topk(scores, count)
            rows[best == -torch.inf] = -1  # masked: a real score is finite, or `ExactScores.error` has refused u
        return rows.cpu().numpy(), best.cpu().numpy()
