"""FAISS's flat index and inverted lists on one GPU.

Two threads must not use a GPU index or its resources at once, not even for searches: one thread owns each index with
resources of its own, builds it, and runs every search. The resources are made once and keep a bounded scratch memory.
These indexes silently ignore `IDSelector`: the rankers filter dropped items.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from service.index.interface import Dropped, Proposals
from service.index.ivf import IvfIndex, scan

GPU_MAX_COUNT = 2048
"""Most neighbours, and most lists, of one search on a GPU (faiss/gpu/utils/DeviceDefs.cuh)."""
GPU_SCRATCH_BYTES = 64 * 2**20
"""Memory that FAISS keeps on the GPU between searches; its own default is 1.5 GiB."""

Result = TypeVar("Result")


class Owner:
    """The only thread that uses some objects; it ends when this owner is freed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "gpu")
        weakref.finalize(self, self._thread.shutdown, wait=False)

    def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Run some work in that thread, after earlier work; its exception is raised here."""
        return self._thread.submit(work, *arguments).result()


class GpuFlatIndex:
    """Exact up to float32 rounding; holds a copy of the vectors on the GPU."""

    kind: Literal["flat"] = "flat"
    device: Literal["cuda"] = "cuda"
    trouble = None

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Copy the (I, d) item vectors.

        Raises:
            RuntimeError: they do not fit.
        """
        self.max_count = min(len(vectors), GPU_MAX_COUNT)
        self._owner = Owner()
        self._resources, self._index = self._owner.run(_flat, vectors)

    def search(self, vectors: NDArray[np.float32], count: int, _: Dropped) -> Proposals:
        """(B, d) vectors → rows (B, count) and scores (B, count), best first."""
        scores, rows = self._owner.run(self._index.search, vectors, count)
        return rows, scores


class GpuIvfIndex(IvfIndex):
    """The lists that `IvfIndex` builds, copied to a GPU: they propose the same items there."""

    device: Literal["cuda"] = "cuda"
    max_count = GPU_MAX_COUNT

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Build on the CPU, which is quick enough, then copy.

        Raises:
            RuntimeError: they do not fit.
        """
        super().__init__(vectors)
        self.windows = _narrow(self.windows)
        self._owner = Owner()
        self._resources, self._lists = self._owner.run(_to_gpu, self._lists)

    def at(self, effort: int) -> GpuIvfIndex | None:
        """The same lists; a search compares more of them."""
        other = super().at(effort)
        if not isinstance(other, GpuIvfIndex):
            return None
        other.windows = _narrow(other.windows)
        return other

    def _scan(self, vectors: NDArray[np.float32], count: int, lists: NDArray[np.int64]) -> Proposals:
        return self._owner.run(scan, self._lists, vectors, count, lists)


def no_gpu() -> str | None:
    """Why FAISS cannot search on a GPU here; None where it can."""
    if not hasattr(faiss, "StandardGpuResources"):
        return "this FAISS is built without GPU support (install faiss-gpu)"
    if faiss.get_num_gpus() == 0:
        return "FAISS finds no GPU"
    return None


def _resources() -> Any:
    resources = faiss.StandardGpuResources()
    resources.setTempMemory(GPU_SCRATCH_BYTES)
    return resources


def _flat(vectors: NDArray[np.float32]) -> tuple[Any, Any]:
    resources = _resources()
    index = faiss.GpuIndexFlatIP(resources, vectors.shape[1])
    index.add(vectors)
    return resources, index


def _to_gpu(lists: Any) -> tuple[Any, Any]:
    resources, options = _resources(), faiss.GpuClonerOptions()
    if hasattr(options, "use_cuvs"):
        options.use_cuvs = False  # cuVS cannot search given lists
    return resources, faiss.index_cpu_to_gpu(resources, 0, lists, options)


def _narrow(windows: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(count for count in windows if count <= GPU_MAX_COUNT)
