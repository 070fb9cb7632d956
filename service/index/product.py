"""Inner products of fair vectors with items in float32, by the quicker of two libraries.

Which one that is differs with the processor: for 12 vectors and 3,533 items of 64 dimensions NumPy's takes 150 µs on an
Intel Xeon and torch's 66, on an AMD EPYC NumPy's is the quicker one by a tenth to a quarter. So both are timed, once in
a process. For a few vectors most of either is bringing the items into another order, which items that lie dimension by
dimension spare: 70 and 36 µs. A catalogue that is not large is therefore held a second time, in that order.

Letters: B batch, d dimensions, I items.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import tensor_over
from service.index.flat import one_thread

TURNED_BYTES = 8 * 2**20
"""Up to so many bytes of vectors are held a second time: some 32,000 items of 64 dimensions."""
TIMED = 20
"""How often either library is timed; the least counts."""
BATCH, DIMENSIONS, ITEMS = 12, 64, 4096
"""Of the product that is timed: a batch under load, a small catalogue."""

Vectors = NDArray[np.float32]


class Products:
    """Multiplies with the items of one catalogue; several threads may ask."""

    def __init__(self, vectors: Vectors) -> None:
        """Take the (I, d) item vectors."""
        self._turned = np.ascontiguousarray(vectors.T) if vectors.nbytes <= TURNED_BYTES else vectors.T
        self._multiply = _quicker()

    def into(self, out: Vectors, fair: Vectors, first: int) -> None:
        """Fill ``out`` (B, n) with the products of ``fair`` (B, d) and the items ``first`` … ``first`` + n - 1."""
        self._multiply(fair, self._turned[:, first : first + out.shape[1]], out)


def _by_numpy(fair: Vectors, items: Vectors, out: Vectors) -> None:
    np.matmul(fair, items, out=out)


def _by_torch(fair: Vectors, items: Vectors, out: Vectors) -> None:
    torch.mm(tensor_over(fair), tensor_over(items), out=torch.from_numpy(out))


@cache
def _quicker() -> Callable[[Vectors, Vectors, Vectors], None]:
    rng = np.random.default_rng(0)
    fair, items = (rng.normal(size=shape).astype(np.float32) for shape in ((BATCH, DIMENSIONS), (DIMENSIONS, ITEMS)))
    out = np.empty((BATCH, ITEMS), np.float32)
    ways = (_by_numpy, _by_torch)
    with one_thread():
        took_s = [min(_seconds(multiply, fair, items, out) for _ in range(TIMED)) for multiply in ways]
    return ways[int(np.argmin(took_s))]


def _seconds(multiply: Callable[[Vectors, Vectors, Vectors], None], *arrays: Vectors) -> float:
    began = perf_counter()
    multiply(*arrays)
    return perf_counter() - began
