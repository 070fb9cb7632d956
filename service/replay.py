"""A function of arrays that torch computes on a device, called again and again.

On a GPU a few rows are computed in less time than it takes to launch the operations one by one, and each launch lets
another thread have the interpreter and waits to get it back. There the operations are captured once for each size of a
batch, as a CUDA graph, and then launched together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROWS = 64
"""Batches of more are worth their launches: at 256 rows and a million items a graph saves a fifteenth."""


@dataclass(frozen=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    inputs: Sequence[torch.Tensor]
    output: torch.Tensor


class Replayed:
    """Arrays in, the function's tensor out as an array; several threads may call."""

    def __init__(
        self,
        function: Callable[..., torch.Tensor],
        device: torch.device,
        padding: Sequence[float | bool],
        *,
        whole: bool = True,
    ) -> None:
        """Take the function and where it is computed.

        Args:
            function: of tensors on that device, and of what else shapes the result, to a tensor with as many rows as
                the first.
            device: of the tensors.
            padding: what further rows of each input consist of; they change nothing in the output of others.
            whole: it never waits for values, so that its operations can be launched together.
        """
        self._function = function
        self._device = device
        self._largest = ROWS if whole and device.type == "cuda" else 0
        self._padding = padding
        self._captured: dict[tuple[int, ...], _Captured] = {}
        self._memory: Any = None
        """Of all graphs: never are two of them at work."""
        self._one_at_a_time = Lock()

    def __call__(self, *arrays: NDArray[Any], shaping: Sequence[int] = ()) -> NDArray[Any]:
        """Compute, on the device, and wait for it."""
        rows = len(arrays[0])
        with torch.inference_mode():
            if rows > self._largest:
                return self._function(*self._there(arrays), *shaping).cpu().numpy()
            padded = [_padded(array, value) for array, value in zip(arrays, self._padding, strict=True)]
            with self._one_at_a_time:
                sizes = (*map(len, padded), *shaping)
                if sizes not in self._captured:
                    self._captured[sizes] = self._capture(padded, shaping)
                captured = self._captured[sizes]
                for there, array in zip(captured.inputs, padded, strict=True):
                    there.copy_(torch.from_numpy(array))
                captured.graph.replay()
                return captured.output[:rows].cpu().numpy()

    def _there(self, arrays: Sequence[NDArray[Any]]) -> list[torch.Tensor]:
        return [torch.from_numpy(array).to(self._device) for array in arrays]

    def _capture(self, arrays: Sequence[NDArray[Any]], shaping: Sequence[int]) -> _Captured:
        inputs = self._there(arrays)
        here, beside = torch.cuda.current_stream(self._device), torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        beside.wait_stream(here)
        with torch.cuda.stream(beside):
            self._function(*inputs, *shaping)  # what libraries make at a first call is not to be captured
        here.wait_stream(beside)
        self._memory = self._memory or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Other threads go on: they load another model, or search with it.
        with torch.cuda.graph(graph, self._memory, beside, capture_error_mode="thread_local"):
            output = self._function(*inputs, *shaping)
        return _Captured(graph, inputs, output)


def _padded(array: NDArray[Any], value: float | bool) -> NDArray[Any]:
    """At least one row, and a power of two of them: few sizes are captured."""
    size = 1 << max(0, len(array) - 1).bit_length()
    padded = np.full((size, *array.shape[1:]), value, array.dtype)
    padded[: len(array)] = array
    return padded
