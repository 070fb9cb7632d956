"""FAISS's HNSW on the CPU: a graph of near items; a search walks it towards the best ones.

The graph is built over inner products as they are. Lengths made equal by one more dimension (Bachrach et al., RecSys
2014), which turns them into distances, need several times the effort for the same recall on all three kinds of
catalogue that were measured (docs/decisions/0021). Several threads building it give a graph that depends on their
timing: two processes may miss other items.

Items whose vectors are zero stay out of the graph. All inner products with them are 0, so they link to each other and
to whatever came first, and a walk that enters among them finds nothing else. What they score is known without a walk.
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
"""Candidates compared when an item is linked (FAISS's default)."""
COST = 128
"""One more candidate costs as much as comparing about so many items one after the other."""
PILOT = 16_384
"""Items of a trial build that predicts the time of the whole one."""
FAR = 2.0
"""Factor for a million items, which no processor cache holds (measured: 47 s predicted without it, 90 taken)."""


class HnswIndex:
    """Proposes the items met on a walk through the graph. A search keeps ``effort × count`` candidates (efSearch)."""

    kind: Literal["hnsw"] = "hnsw"
    device: Literal["cpu"] = "cpu"
    max_count = WINDOWS[-1]
    trouble = None

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Build the graph of the (I, d) item vectors, with as many threads as FAISS may use; holds a copy."""
        self._items = len(vectors)
        somewhere = vectors.any(axis=1)
        self._rows = np.flatnonzero(somewhere)
        self._zeros = np.flatnonzero(~somewhere)
        self._graph: Any = _graph(_with_length(vectors))
        self._effort = 1
        self.windows = _windows(len(vectors), 1)

    @property
    def parameters(self) -> str:
        """For operators."""
        return f"M={LINKS} efConstruction={CONSTRUCTION} efSearch={self._effort}x"

    def at(self, effort: int) -> HnswIndex | None:
        """The same graph; a search walks further."""
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
        return (rows, scores) if len(self._zeros) == 0 else self._with_zeros(rows, scores)

    def _with_zeros(self, places: NDArray[np.int64], scores: NDArray[np.float32]) -> Proposals:
        """The best of the items that the graph found, and of the zero items, which score 0 without a search."""
        count = places.shape[1]
        zeros = np.tile(self._zeros[:count], (len(places), 1))
        found = np.where(places < 0, -1, np.append(self._rows, -1)[places])
        scores = np.concatenate([np.zeros(zeros.shape, np.float32), scores], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        rows = np.concatenate([zeros, found], axis=1)
        return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def expected_build_s(vectors: NDArray[np.float32]) -> float:
    """Predict the time of building the graph: that of some items, scaled by I log I; takes half a second."""
    vectors = _with_length(vectors)
    pilot = vectors[:PILOT]
    started = perf_counter()
    _graph(pilot)
    took = perf_counter() - started
    items = max(2, len(vectors))
    far = FAR if items > len(pilot) else 1.0
    some = max(2, len(pilot))
    return far * took * items * math.log(items) / (some * math.log(some))


def _with_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors that are not zero; no copy where all are not."""
    somewhere = vectors.any(axis=1)
    return vectors if somewhere.all() else vectors[somewhere]


def _graph(vectors: NDArray[np.float32]) -> Any:
    graph = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = CONSTRUCTION
    graph.add(vectors)
    return graph


def _windows(items: int, effort: int) -> tuple[int, ...]:
    return tuple(count for count in WINDOWS if effort * count * COST <= items)
