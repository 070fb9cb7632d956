"""FAISS's HNSW on the CPU: a graph of near items, walked towards the best ones.

The graph is built over inner products as they are. Lengths made equal by one more dimension (Bachrach et al., RecSys
2014), which turns them into distances, need several times the effort for the same recall on all three kinds of
catalogue that were measured (docs/decisions/0021). Several threads building it give a graph that depends on their
timing: two processes may miss other items.
"""

from __future__ import annotations

import math
from copy import copy
from time import perf_counter
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from service.index.interface import WINDOWS, Dropped, Proposals

LINKS = 32
"""M: neighbours of an item in the graph."""
CONSTRUCTION = 40
"""Candidates looked at when an item is linked (FAISS's default)."""
COST = 128
"""Keeping one more candidate takes as long as comparing about so many items one after the other."""
PILOT = 16_384
"""Items built first to tell how long all will take."""
FAR = 2.0
"""So much longer it takes to reach an item of a million, which no cache holds (measured: 47 s foretold, 90 taken)."""


class HnswIndex:
    """Proposes what a walk through the graph meets. A search keeps ``effort × count`` candidates (efSearch)."""

    kind: Literal["hnsw"] = "hnsw"
    device: Literal["cpu"] = "cpu"
    max_count = WINDOWS[-1]
    trouble = None

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Build the graph of the (I, d) item vectors, with as many threads as FAISS may use; holds a copy."""
        self._items = len(vectors)
        self._graph: Any = _graph(vectors)
        self._effort = 1
        self.windows = _windows(len(vectors), 1)

    @property
    def parameters(self) -> str:
        """For operators."""
        return f"M={LINKS} efConstruction={CONSTRUCTION} efSearch={self._effort}x"

    def at(self, effort: int) -> HnswIndex | None:
        """The same graph, walked further."""
        windows = _windows(self._items, effort)
        if not windows:
            return None
        other = copy(self)
        other._effort, other.windows = effort, windows
        return other

    def search(self, vectors: NDArray[np.float32], count: int, _: Dropped) -> Proposals:
        """(B, d) vectors → rows (B, count) and scores (B, count), best first."""
        parameters: Any = faiss.SearchParametersHNSW()  # type: ignore[attr-defined]  # its stubs lack it
        parameters.efSearch = self._effort * count
        scores, rows = self._graph.search(vectors, count, params=parameters)
        return rows, scores


def expected_build_s(vectors: NDArray[np.float32]) -> float:
    """How long building the graph will take here: that of some items, scaled by I log I; takes half a second."""
    pilot = vectors[:PILOT]
    started = perf_counter()
    _graph(pilot)
    took = perf_counter() - started
    items = len(vectors)
    far = FAR if items > len(pilot) else 1.0
    return far * took * items * math.log(max(2, items)) / (len(pilot) * math.log(max(2, len(pilot))))


def _graph(vectors: NDArray[np.float32]) -> Any:
    graph = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = CONSTRUCTION
    graph.add(vectors)
    return graph


def _windows(items: int, effort: int) -> tuple[int, ...]:
    return tuple(count for count in WINDOWS if effort * count * COST <= items)
