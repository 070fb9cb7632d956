"""Builds each kind of index, on a GPU where that is wanted and possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from service.errors import StartError, first_line
from service.index.dense import TorchIndex
from service.index.flat import FlatIndex
from service.index.gpu import GPU_SCRATCH_BYTES, GpuFlatIndex, GpuIvfIndex, no_gpu
from service.index.hnsw import HnswIndex
from service.index.interface import Device, Index, IndexDevice, Kind, Proposing
from service.index.ivf import IvfIndex
from service.index.milvus import MilvusIndex

Vectors: TypeAlias = NDArray[np.float32]
AnyIndex: TypeAlias = TorchIndex | Proposing


@dataclass(frozen=True)
class Built:
    """An index as it was built."""

    index: AnyIndex
    note: str | None
    """Why it is not on a GPU although one was looked for."""
    seconds: float


def build(kind: Kind, vectors: Vectors, device: Device) -> Built:
    """Build one kind of index in this process.

    Raises:
        StartError: ``cuda`` is demanded, and this kind cannot search there.
    """
    reason = None if device == "cpu" else _why_not_gpu(kind)
    started = perf_counter()
    if device != "cpu" and reason is None:
        try:
            return Built(_ON_GPU[kind](vectors), None, perf_counter() - started)
        except RuntimeError as error:
            reason = f"the GPU does not take the index: {first_line(error)}"
    if reason and device == "cuda":
        raise StartError(f"EVENHAND_DEVICE is cuda, but {reason}")
    started = perf_counter()
    return Built(_ON_CPU[kind](vectors), reason, perf_counter() - started)


def build_exact(vectors: Vectors, device: Device) -> Built:
    """Build the index that compares every item and suits these vectors.

    Raises:
        StartError: ``cuda`` is demanded and not there.
    """
    of_faiss_alone = device != "cpu" and not torch.cuda.is_available() and no_gpu() is None
    return build("flat" if of_faiss_alone else "torch", vectors, device)


def build_milvus(vectors: Vectors, url: str | None) -> Built:
    """Find or fill a collection.

    Raises:
        StartError: Milvus cannot be used.
    """
    if url is None:
        raise StartError("EVENHAND_INDEX is milvus, but EVENHAND_MILVUS_URL is not set")
    started = perf_counter()
    return Built(MilvusIndex(vectors, url), None, perf_counter() - started)


def device_bytes(index: Index, vectors: Vectors) -> Mapping[str, int]:
    """Memory of an index of these vectors on a GPU: kind of data → bytes; empty where it searches elsewhere."""
    if index.device != "cuda":
        return {}
    if isinstance(index, TorchIndex):
        return {"items": vectors.nbytes, "scratch": index.scratch_bytes}
    numbers = 8 * len(vectors) if index.kind == "ivf" else 0  # each item's row
    return {"items": vectors.nbytes + numbers, "scratch": GPU_SCRATCH_BYTES}


def approximate_kinds(device: IndexDevice) -> tuple[Kind, ...]:
    """Kinds to try where exact search is on that device, the quickest to build first."""
    if device == "cpu":
        return ("ivf", "hnsw")
    return () if no_gpu() else ("ivf",)


def _why_not_gpu(kind: Kind) -> str | None:
    if kind == "hnsw":
        return "EVENHAND_INDEX=hnsw searches on the CPU"
    if kind == "torch":
        return None if torch.cuda.is_available() else "torch finds no GPU"
    return no_gpu()


_ON_CPU: Mapping[Kind, Callable[[Vectors], AnyIndex]] = {
    "flat": FlatIndex,
    "ivf": IvfIndex,
    "hnsw": HnswIndex,
    "torch": lambda vectors: TorchIndex(vectors, "cpu"),
}
_ON_GPU: Mapping[Kind, Callable[[Vectors], AnyIndex]] = {
    "flat": GpuFlatIndex,
    "ivf": GpuIvfIndex,
    "torch": lambda vectors: TorchIndex(vectors, "cuda"),
}
