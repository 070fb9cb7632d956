"""Exact search by torch: matrix product → mask → top k, on the CPU or on one GPU.

What is dropped is masked before the cut, so that nobody needs a wider search. On the CPU lists are made without it, by
`service.index.whole`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import tensor_over
from service.index.interface import Dropped, Proposals
from service.index.whole import SCRATCH_BYTES


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
        self._there = tensor_over(vectors).to(device)
        self._step = max(1, SCRATCH_BYTES // (4 * max(1, len(vectors))))

    def search(self, vectors: NDArray[np.float32], count: int, dropped: Dropped) -> Proposals:
        """(B, d) vectors → rows (B, count), -1 behind the last item kept, and scores (B, count), best first."""
        parts = [
            self._search(vectors[start : start + self._step], count, dropped[start : start + self._step])
            for start in range(0, len(vectors), self._step)
        ]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([scores for _, scores in parts])

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
