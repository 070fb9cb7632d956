"""Other libraries' graphs behind the questions that `index.py` asks; neither is needed by Evenhand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.index import Ranking
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

    def search(self, fair: NDArray[np.float32]) -> NDArray[np.int64]:
        """(B, d) → rows (B, K)."""
        if self.name == "hnswlib":
            return self._graph.knn_query(fair, k=K, num_threads=1)[0].astype(np.int64)
        return np.atleast_2d(self._graph.search(fair, K, threads=1).keys).astype(np.int64)

    def top(self, fair: NDArray[np.float32], dropped: Any, counts: Any, after: Any = None) -> list[Ranking]:
        """What it finds with exact scores."""
        found = []
        for u, rows in zip(fair, self.search(fair), strict=True):
            scores = np.round((self._vectors[rows].astype(np.float64) * u.astype(np.float64)).sum(axis=1), 6)
            found.append(Ranking(rows, scores))
        return found
