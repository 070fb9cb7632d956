"""Batches on a GPU, launched as a whole: CUDA graphs.

A few rows are computed there in less time than it takes to launch the operations one by one, and each launch lets
another thread have the interpreter and waits to get it back. So the operations are captured, for some sizes of a batch,
when a model is loaded. On another device they are run as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import torch

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Rows of the batches that are captured. Larger ones are worth their launches: at 256 rows and a million items a graph
would save a fifteenth."""
MOST = SIZES[-1]

Compute = Callable[[], torch.Tensor]

_capturing = Lock()
"""Whatever waits for the whole GPU breaks a capture: only one at a time, and no memory is given back beside it."""


class Graphs:
    """Of one owner: they share memory, so the owner runs one after the other."""

    def __init__(self, device: torch.device) -> None:
        """Nothing is captured yet."""
        self._captures = device.type == "cuda"
        if self._captures:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()

    def captured(self, compute: Compute) -> Compute:
        """The same, from the same tensors whatever they hold by then; its result is good until the next of any graph.

        Args:
            compute: it waits for no value of any tensor.
        """
        if not self._captures:
            return compute
        with _capturing, torch.inference_mode():
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
            with torch.cuda.stream(self._stream):
                compute()  # what libraries make at a first call is not to be captured
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                output = compute()

        def replayed() -> torch.Tensor:
            graph.replay()
            return output

        return replayed


def size_of(rows: int) -> int | None:
    """The captured size that has room for so many rows."""
    return next((size for size in SIZES if size >= rows), None)


def give_back() -> None:
    """Give memory that nobody needs back to the GPU, and not only to torch, which would keep it from FAISS."""
    if _capturing.acquire(blocking=False):
        try:
            torch.cuda.empty_cache()
        finally:
            _capturing.release()
