"""Flat indexes: every item is compared, on the CPU or on one GPU.

A GPU index is not safe to search from two threads at once; the batcher's one worker is the only caller.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import StartError

GPU_MAX_COUNT = 2048
"""Most neighbours that a classic GPU index returns (faiss/gpu/impl/IndexUtils)."""
GPU_SCRATCH_BYTES = 64 * 2**20
"""Memory that FAISS keeps on the GPU between searches; its own default is 1.5 GiB."""


class Index(Protocol):
    """Proposes items by inner product in float32; items have rows 0 … I - 1."""

    device: Literal["cpu", "cuda"]
    max_count: int
    """Most items that one search returns."""
    recall: float
    """Share of the true best items that a search proposes: 1 where it is exact, else measured when it was loaded."""

    def search(self, vectors: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(B, d) vectors → rows (B, count) and scores (B, count), best first; 1 ≤ count ≤ ``max_count``."""
        ...

    def scores(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """(d,) vector → the score of every item, (I,)."""
        ...


class FlatIndex:
    """Exact up to float32 rounding."""

    recall = 1.0

    def __init__(self, vectors: NDArray[np.float32], device: Literal["cpu", "cuda"]) -> None:
        self.device = device
        self._vectors = torch.from_numpy(vectors)
        self._index: Any
        if device == "cuda":
            self._memory = faiss.StandardGpuResources()
            self._memory.setTempMemory(GPU_SCRATCH_BYTES)
            self._index = faiss.GpuIndexFlatIP(self._memory, vectors.shape[1])
            self.max_count = min(len(vectors), GPU_MAX_COUNT)
        else:
            self._index = faiss.IndexFlatIP(vectors.shape[1])
            self.max_count = len(vectors)
        self._index.add(vectors)

    def search(self, vectors: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(B, d) vectors → rows (B, count) and scores (B, count), best first."""
        scores, rows = self._index.search(vectors, count)
        return rows, scores

    def scores(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """(d,) vector → the score of every item, (I,); on the CPU."""
        return torch.mv(self._vectors, torch.from_numpy(vector)).numpy()


def open_index(vectors: NDArray[np.float32], device: Literal["auto", "cpu", "cuda"]) -> tuple[Index, str | None]:
    """Build the index where the operator wants it, once.

    Returns:
        The index, and why it is not on a GPU where ``auto`` looked for one.

    Raises:
        StartError: ``cuda`` is demanded and not there.
    """
    reason = None if device == "cpu" else _no_gpu()
    if reason and device == "cuda":
        raise StartError(f"EVENHAND_DEVICE is cuda, but {reason}")
    return FlatIndex(vectors, "cpu" if device == "cpu" or reason else "cuda"), reason


def _no_gpu() -> str | None:
    """Why FAISS cannot search on a GPU here; None where it can."""
    if not hasattr(faiss, "StandardGpuResources"):
        return "this FAISS is built without GPU support (install faiss-gpu)"
    if faiss.get_num_gpus() == 0:
        return "FAISS finds no GPU"
    return None


def use_one_thread() -> None:
    """Keep FAISS in the calling thread: the batches are too small to share."""
    faiss.omp_set_num_threads(1)
