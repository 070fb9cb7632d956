"""FAISS's inverted lists: each list holds the items around a centroid, and a search compares the nearest lists.

The lists of a search are chosen here, in float64, and not by FAISS: the rounding of its coarse search depends on the
batch size and the device. So a row is compared with the same lists alone, in a batch, and on either device.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Literal

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from service.index.interface import SPARSE, WINDOWS, Dropped, Proposals

POINTS = 64
"""Items per centroid in training."""
ROUNDS = 8
"""Rounds of k-means; more of them change little."""
SEED = 1
MOST = 1 / 4
"""Largest share of the lists in one search: above it, scoring everything costs little more and misses nothing."""
MAX_LISTS = 4096
"""Beyond 16 million items, longer lists cost less than training more centroids."""


class IvfIndex:
    """Proposes the best items of some lists: ``effort`` of them for the first window, more for wider ones."""

    kind: Literal["ivf"] = "ivf"
    device: Literal["cpu", "cuda"] = "cpu"
    max_count = WINDOWS[-1]
    trouble = None

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        """Learn centroids and sort the (I, d) item vectors into lists, with FAISS's threads; holds a copy."""
        self._lists = build_lists(vectors)
        self._coarse = Coarse(self._lists)
        self._effort = 1
        self.windows = self._coarse.windows(1)

    @property
    def parameters(self) -> str:
        """For operators."""
        return f"nlist={self._coarse.lists} nprobe={self._effort}"

    def at(self, effort: int) -> IvfIndex | None:
        """The same lists; a search compares more of them."""
        windows = self._coarse.windows(effort)
        if not windows:
            return None
        other = copy(self)
        other._effort, other.windows = effort, windows
        return other

    def search(self, vectors: NDArray[np.float32], count: int, _: Dropped) -> Proposals:
        """(B, d) vectors → rows (B, count), -1 where the lists hold no more, and scores (B, count), best first."""
        return self._scan(vectors, count, self._coarse.nearest(vectors, probes(self._effort, count)))

    def _scan(self, vectors: NDArray[np.float32], count: int, lists: NDArray[np.int64]) -> Proposals:
        return scan(self._lists, vectors, count, lists)


class Coarse:
    """Chooses lists for vectors, each a function of its own vector alone."""

    def __init__(self, index: Any) -> None:
        """Take the centroids of a trained FAISS index that is on the CPU."""
        self._centroids = index.quantizer.reconstruct_n(0, index.nlist).astype(np.float64)  # (L, d)
        self.lists = len(self._centroids)
        self._items = index.ntotal
        longest = float(np.sqrt(np.square(self._centroids).sum(axis=1).max()))
        self._error_per_length = 2 * self._centroids.shape[1] * 2.0**-52 * longest

    def windows(self, effort: int) -> tuple[int, ...]:
        """The counts whose search compares at most `MOST` of the lists."""
        few = [count for count in WINDOWS if probes(effort, count) <= MOST * self.lists]
        return tuple(count for count in few if count * SPARSE <= self._items)

    def nearest(self, vectors: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        """(B, d) vectors → the ``count`` lists with the largest inner products, (B, count), by number; ties by number.

        A matrix product decides unless the last list taken and the first one left out lie closer than its error: for
        such a row the sums are computed one by one.
        """
        if count >= self.lists:
            return np.tile(np.arange(self.lists), (len(vectors), 1))
        wide = vectors.astype(np.float64)
        near = torch.mm(torch.from_numpy(wide), torch.from_numpy(self._centroids).T).numpy()  # its threads are set
        split = np.partition(near, (-count - 1, -count), axis=1)[:, -count - 1 : -count + 1 or None]
        error = self._error_per_length * np.sqrt(np.square(wide).sum(axis=1))
        chosen = np.argpartition(near, -count, axis=1)[:, -count:]
        for row in np.flatnonzero(split[:, 1] - split[:, 0] <= 2 * error):
            sums = (self._centroids * wide[row]).sum(axis=1)
            chosen[row] = np.lexsort((np.arange(self.lists), -sums))[:count]
        return np.sort(chosen, axis=1)


def probes(effort: int, count: int) -> int:
    """Lists in one search: for wider windows they grow with the square root of the count."""
    return int(np.ceil(effort * np.sqrt(count / WINDOWS[0])))


def build_lists(vectors: NDArray[np.float32]) -> Any:
    """A trained and filled FAISS index on the CPU; the same one for the same vectors and number of threads."""
    items, d = vectors.shape
    lists = min(MAX_LISTS, 1 << max(2, round(np.log2(np.sqrt(items)))))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d), d, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = POINTS, 1
    index.cp.niter, index.cp.seed = ROUNDS, SEED
    index.train(vectors)
    index.add(vectors)
    return index


def scan(index: Any, vectors: NDArray[np.float32], count: int, lists: NDArray[np.int64]) -> Proposals:
    """Search given lists, (B, probes), of a FAISS index on either device.

    FAISS's Python method takes the number of lists from the index, which threads share; the C method takes it as an
    argument.
    """
    many = len(vectors)
    vectors = np.ascontiguousarray(vectors)
    scores, rows = np.empty((many, count), np.float32), np.empty((many, count), np.int64)
    nearness = np.zeros(lists.shape, np.float32)  # only residual codes would need it
    arrays = [faiss.swig_ptr(each) for each in (lists, nearness, scores, rows)]
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = lists.shape[1]
    index.search_preassigned_c(many, faiss.swig_ptr(vectors), count, *arrays, False, parameters)
    return rows, scores
