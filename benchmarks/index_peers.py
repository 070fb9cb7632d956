"""Other libraries behind the questions that `index.py` asks; none is needed by Evenhand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from service.index import Ranking, SearchBatch
from service.index.hnsw import CONSTRUCTION, LINKS
from service.index.tune import K

PEERS = ("hnswlib", "usearch")


class Peer:
    """Another library's graph behind the same questions: items it finds, in the exact order."""

    def __init__(self, name: str, vectors: NDArray[np.float32], threads: int) -> None:
        self.name, self._vectors, self._threads = name, vectors, threads
        if name == "hnswlib":
            import hnswlib

            self._graph = hnswlib.Index(space="ip", dim=vectors.shape[1])
            self._graph.init_index(max_elements=len(vectors), M=LINKS, ef_construction=CONSTRUCTION)
            self._graph.add_items(vectors, np.arange(len(vectors)), num_threads=threads)
            self._graph.set_num_threads(1)
        else:
            from usearch.index import Index

            wide = {"connectivity": LINKS, "expansion_add": CONSTRUCTION, "expansion_search": 64}
            self._graph = Index(ndim=vectors.shape[1], metric="ip", dtype="f32", **wide)
            self._graph.add(np.arange(len(vectors)), vectors, threads=threads)

    def effort(self, ef: int) -> None:
        """Candidates kept in a search."""
        if self.name == "hnswlib":
            self._graph.set_ef(ef)
        else:
            self._graph.expansion_search = ef

    def search(self, fair: NDArray[np.float32], _: Any = None) -> NDArray[np.int64]:
        """(B, d) → rows (B, K); nothing is dropped."""
        if self.name == "hnswlib":
            return self._graph.knn_query(fair, k=K, num_threads=1)[0].astype(np.int64)
        return np.atleast_2d(self._graph.search(fair, K, threads=1).keys).astype(np.int64)

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """What it finds with exact scores."""
        return _ordered(self._vectors, batch.fair, self.search(batch.fair))


class Implicit:
    """implicit's lists of given vectors: it compares every item and drops what it is told to."""

    def __init__(self, vectors: NDArray[np.float32], threads: int = 1) -> None:
        from implicit.cpu.als import AlternatingLeastSquares

        self._vectors = vectors
        with threadpool_limits(1, "blas"):  # it warns of more threads, in which nothing is computed here
            self._model = AlternatingLeastSquares(factors=vectors.shape[1], num_threads=threads)
        self._model.item_factors = vectors

    def seen(self, dropped: Sequence[NDArray[np.int32]]) -> Any:
        """The same as the CSR matrix that it wants; its rows are those of the users."""
        from scipy.sparse import csr_matrix

        ends = np.cumsum([0, *map(len, dropped)])
        rows = np.concatenate([np.sort(one) for one in dropped])
        return csr_matrix((np.ones(len(rows), np.float32), rows, ends), (len(dropped), len(self._vectors)))

    def search(self, fair: NDArray[np.float32], seen: Any, k: int = K) -> NDArray[np.int64]:
        """(B, d) and rows of `seen` → rows (B, k)."""
        self._model.user_factors = fair
        return self._model.recommend(np.arange(len(fair)), seen, N=k)[0].astype(np.int64)

    def top(self, batch: SearchBatch) -> list[Ranking]:
        """What it finds with exact scores; what is dropped are rows of `seen`."""
        return _ordered(self._vectors, batch.fair, self.search(batch.fair, batch.dropped))


def _ordered(vectors: NDArray[np.float32], fair: NDArray[np.float32], found: NDArray[np.int64]) -> list[Ranking]:
    lists = []
    for u, rows in zip(fair, found, strict=True):
        scores = np.round((vectors[rows].astype(np.float64) * u.astype(np.float64)).sum(axis=1), 6)
        lists.append(Ranking(rows, scores))
    return lists
