"""CUDA graphs: a GPU launches all operations of a batch at once.

A GPU computes a few rows in less time than the launches of the single operations take, and each launch releases the
interpreter lock and waits to get it back. So the operations are captured when a model is loaded, for some sizes of a
batch. On another device they run one by one.
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
"""Rows of the captured batches. For larger ones the launches matter little: at 256 rows and a million items a graph
would save a fifteenth of the time."""
MOST = SIZES[-1]

_capturing = Lock()
"""Held during a capture, which a wait for the whole GPU breaks: so there is one at a time, and nothing is freed."""


class Graphs:
    """The graphs of one owner, which read tensors at fixed addresses. Several threads may ask."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is captured yet."""
        self._device = device
        self._computed: dict[Hashable, Callable[[], torch.Tensor]] = {}
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None
        self._one_at_a_time = Lock()
        """The graphs share their inputs and memory."""

    def __contains__(self, key: Hashable) -> bool:
        """Whether this key is captured."""
        return key in self._computed

    def capture(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> None:
        """Capture a computation; it must not wait for the value of a tensor.

        Raises:
            RuntimeError: the memory does not suffice.
        """
        self._computed[key] = compute if self._pool is None else self._captured(compute)

    def run(self, key: Hashable, fill: Callable[[], None], rows: int) -> NDArray[np.float64]:
        """Fill the inputs, compute, and copy the first rows of the result to the CPU.

        Rows past the filled ones hold stale values of an earlier batch.
        """
        with self._one_at_a_time:
            fill()
            return self._computed[key]()[:rows].cpu().numpy()

    def _captured(self, compute: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        stream = _stream(self._device)
        with _capturing, torch.inference_mode():
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                compute()  # libraries allocate at the first call, which must not be captured
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, self._pool, stream, capture_error_mode="thread_local"):
                output = compute()

        def replayed() -> torch.Tensor:
            graph.replay()
            return output

        return replayed


def size_of(rows: int) -> int | None:
    """The smallest captured size for so many rows; None where there is none."""
    return next((size for size in SIZES if size >= rows), None)


def give_back_with(owner: object) -> None:
    """Return the memory of the owner's tensors to the GPU when the owner is freed, and not only to torch.

    Torch would keep it from FAISS and from other processes. During a capture it does so, until the next owner is freed.
    """
    weakref.finalize(owner, _end, vars(owner)).atexit = False


def _end(held: dict[str, Any]) -> None:
    held.clear()
    if _capturing.acquire(blocking=False):  # the capturing thread may be this one
        try:
            torch.cuda.empty_cache()
        finally:
            _capturing.release()


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One stream for all captures: libraries keep memory for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
