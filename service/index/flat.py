"""FAISS's flat index on the CPU: every item is compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import faiss
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from service.index.interface import Dropped, Proposals


class FlatIndex:
    """Exact up to float32 rounding. Holds a copy of the vectors."""

    kind: Literal["flat"] = "flat"
    device: Literal["cpu"] = "cpu"
    trouble = None

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Copy the (I, d) item vectors."""
        self.max_count = len(vectors)
        self._index: Any = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)

    def search(self, vectors: NDArray[np.float32], count: int, _: Dropped) -> Proposals:
        """(B, d) vectors → rows (B, count) and scores (B, count), best first."""
        scores, rows = self._index.search(vectors, count)
        return rows, scores


def use_one_thread() -> None:
    """Make FAISS and NumPy's products compute in the calling thread: the batches are too small to share."""
    faiss.omp_set_num_threads(1)
    threadpool_limits(1, "blas")


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in the calling thread alone, FAISS, torch and NumPy, as the worker does; afterwards as before."""
    before = faiss.omp_get_max_threads(), torch.get_num_threads()
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        faiss.omp_set_num_threads(before[0])
        torch.set_num_threads(before[1])
