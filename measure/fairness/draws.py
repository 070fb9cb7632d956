"""Random draws, made once and used for every metric, so that the metrics of one audit are paired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_VALUES = 2_000_000
"""Draws looked at at a time: 8 MiB as float32."""
_KEPT_BYTES = 256 * 1024**2  # draws kept from one metric to the next; more are drawn again, the same ones


class Draws:
    """Rows of small whole numbers, block by block; the same in every iteration."""

    def __init__(
        self,
        rows: int,
        width: int,
        dtype: type[np.unsignedinteger[Any]],
        seed: int,
        draw: Callable[[np.random.Generator, int], NDArray[np.integer[Any]]],
    ) -> None:
        size = max(1, BLOCK_VALUES // max(1, width))
        self._sizes = [min(size, rows - start) for start in range(0, rows, size)]
        self._seed, self._draw, self._dtype = seed, draw, dtype
        self._keep = rows * width * np.dtype(dtype).itemsize <= _KEPT_BYTES
        self._kept: dict[int, NDArray[np.unsignedinteger[Any]]] = {}

    def __iter__(self) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        for number, size in enumerate(self._sizes):
            block = self._kept.get(number)
            if block is None:
                block = self._draw(np.random.default_rng([self._seed, number]), size).astype(self._dtype)
                if self._keep:
                    self._kept[number] = block
            yield block
