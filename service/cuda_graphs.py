"""Batches on a GPU, launched as a whole: CUDA graphs.

A few rows are computed there in less time than it takes to launch the operations one by one, and each launch lets
another thread have the interpreter and waits to get it back. So the operations are captured, for some sizes of a batch,
when a model is loaded. On another device they are run as they are.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Rows of the batches that are captured. Larger ones are worth their launches: at 256 rows and a million items a graph
would save a fifteenth."""
MOST = SIZES[-1]

_capturing = Lock()
"""Whatever waits for the whole GPU breaks a capture: only one at a time, and no memory is given back beside it."""


class Graphs:
    """What one owner computes from tensors that stay in their places; several threads may ask."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is captured yet."""
        self._device = device
        self._computed: dict[Hashable, Callable[[], torch.Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._one_at_a_time = Lock()
        """They share places and memory."""

    def __contains__(self, key: Hashable) -> bool:
        """Whether that is captured."""
        return key in self._computed

    def capture(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> None:
        """Have it computed as a whole from now on; it waits for no value of any tensor.

        Raises:
            RuntimeError: memory is short.
        """
        self._computed[key] = compute if self._pool is None else self._captured(compute)

    def run(self, key: Hashable, fill: Callable[[], None], rows: int) -> NDArray[np.float64]:
        """Put values into the places, compute, and bring the first rows of the result here.

        Behind what is filled are values of a batch before.
        """
        with self._one_at_a_time:
            fill()
            return self._computed[key]()[:rows].cpu().numpy()

    def _captured(self, compute: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        stream = _stream(self._device)
        with _capturing, torch.inference_mode():
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                compute()  # what libraries make at a first call is not to be captured
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                output = compute()

        def replayed() -> torch.Tensor:
            graph.replay()
            return output

        return replayed


def size_of(rows: int) -> int | None:
    """The captured size that has room for so many rows."""
    return next((size for size in SIZES if size >= rows), None)


def give_back_with(owner: object) -> None:
    """When the owner ends, give the memory of what it holds back to the GPU, and not only to torch.

    Torch would keep it from FAISS, and from other processes. Beside a capture it does, until a next one.
    """
    weakref.finalize(owner, _end, vars(owner)).atexit = False


def _end(held: dict[str, Any]) -> None:
    held.clear()
    if _capturing.acquire(blocking=False):  # it may be this very thread that captures
        try:
            torch.cuda.empty_cache()
        finally:
            _capturing.release()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: libraries keep memory for each."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
