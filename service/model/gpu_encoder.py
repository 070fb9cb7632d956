"""The encoder on a GPU: the network and, where they fit, the parts of all users."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder
from service.cuda_graphs import MOST, SIZES, Graphs, give_back_with, size_of


class GpuEncoder:
    """Computes fair vectors there in float64; several threads may ask. Its memory is freed with it."""

    def __init__(
        self, network: FairEncoder, parts: torch.Tensor | None, device: torch.device, *, unit_length: bool
    ) -> None:
        """Take network and parts, both on the device; batches of rows become CUDA graphs (`service.cuda_graphs`).

        Args:
            network: float64.
            parts: (U, P, d) of all users, as they are stored; None where each batch brings its own.
            device: of both.
            unit_length: scale fair vectors to length 1.

        Raises:
            RuntimeError: the memory does not suffice.
        """
        give_back_with(self)
        self.parts = parts
        self._device = device
        self._combine = partial(combined, network, unit_length)
        self._rows = torch.zeros(MOST, dtype=torch.int64, device=device)
        self._masks = torch.zeros((MOST, network.attribute_count), dtype=torch.bool, device=device)
        self._graphs = Graphs(device)
        if parts is not None and len(parts) and not network.waits:
            for size in SIZES:
                of_rows = partial(_of_rows, self._combine, parts, self._rows[:size], self._masks[:size])
                self._graphs.capture(size, of_rows)

    def of_rows(self, rows: NDArray[np.int64], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(B,) rows of users and (B, M) masks → (B, d), from the parts on the device."""
        assert self.parts is not None  # noqa: S101  nobody asks otherwise
        count, size = len(rows), size_of(len(rows))
        if size not in self._graphs:
            return self.of_parts(self.parts[self._there(rows)], masks)

        def fill() -> None:
            self._rows[:count] = torch.from_numpy(rows)
            self._masks[:count] = torch.from_numpy(masks)

        return self._graphs.run(size, fill, count)

    def of_parts(self, parts: torch.Tensor, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """(B, P, d) parts, on any device, and (B, M) masks → (B, d)."""
        return self._combine(parts.to(self._device, torch.float64), self._there(masks)).cpu().numpy()

    def _there(self, array: NDArray[np.int64] | NDArray[np.bool_]) -> torch.Tensor:
        return torch.from_numpy(array).to(self._device)


def combined(network: FairEncoder, unit_length: bool, parts: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """(B, P, d) parts and (B, M) masks → (B, d)."""
    u = network.combine(parts, masks)
    return torch.nn.functional.normalize(u) if unit_length else u


def _of_rows(
    combine: partial[torch.Tensor], parts: torch.Tensor, rows: torch.Tensor, masks: torch.Tensor
) -> torch.Tensor:
    return combine(parts[rows].double(), masks)
