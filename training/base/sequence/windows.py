"""Windows of histories as rectangles of item rows, padded on the left; cut for all users at once.

Letters: U users, N interactions, W windows, L places in a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GROUP = 8
"""Batches that are sorted by length together: short windows then carry little padding."""


@dataclass(frozen=True)
class Windows:
    """Stretches of histories that end at given moments."""

    users: Tensor
    """(W,) user row."""
    starts: Tensor
    """(W,) where the user's history starts in the list of all interactions."""
    ends: Tensor
    """(W,) the moment: the interactions before it are the window's."""

    def batches(self, size: int, length: int, rng: torch.Generator) -> Iterator[Windows]:
        """All windows in random order; those of a batch have similar lengths, up to ``length``."""
        lengths = (self.ends - self.starts).clamp(max=length)
        order = torch.randperm(len(self.users), generator=rng, device=self.users.device)
        for group in torch.split(order, _GROUP * size):
            by_length = group[lengths[group].argsort(stable=True)]
            yield from (self[rows] for rows in torch.split(by_length, size))

    def __getitem__(self, rows: Tensor) -> Windows:
        return Windows(self.users[rows], self.starts[rows], self.ends[rows])


class Histories:
    """Training positives of all users, in time order."""

    def __init__(self, indptr: NDArray[np.int64], indices: NDArray[np.int32], device: torch.device) -> None:
        self._indptr = torch.from_numpy(indptr).to(device)
        self._items = torch.from_numpy(indices.astype(np.int64)).to(device)

    def draw(self, length: int, rng: torch.Generator) -> Windows:
        """Windows side by side over every history of at least two, the last one shorter by a random shift.

        The shift is 0 for every other user, as in serving, and else up to ``length``: each moment of a history is at
        the end of some window, where serving reads, and windows of long histories begin somewhere else every epoch.
        """
        starts, ends = self._indptr[:-1], self._indptr[1:]
        users = torch.nonzero(ends - starts >= 2)[:, 0]
        most = (ends - starts)[users].sub(1).clamp(max=length)
        draws = torch.rand((2, len(users)), generator=rng, device=users.device)
        shifts = torch.where(draws[0] < 0.5, 0, (draws[1] * most).long().clamp(max=most - 1))
        lasts = ends[users] - shifts
        counts = (lasts - starts[users] - 2).div(length, rounding_mode="floor") + 1
        rows = torch.repeat_interleave(torch.arange(len(users), device=users.device), counts)
        place = torch.arange(len(rows), device=users.device) - (counts.cumsum(0) - counts)[rows]
        return Windows(users[rows], starts[users][rows], lasts[rows] - place * length)

    def moments(self) -> Windows:
        """One window for every interaction that has others before it; the window ends with it."""
        counts = self._indptr.diff()
        users = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        ends = torch.arange(len(users), device=counts.device) + 1
        later = ends - self._indptr[users] >= 2
        return Windows(users[later], self._indptr[users][later], ends[later])

    def cut(self, windows: Windows, length: int) -> tuple[Tensor, Tensor]:
        """The last interactions of each window.

        Args:
            windows: W of them.
            length: how many at most.

        Returns:
            (W, L) item rows and (W, L) flags, False for the padding on the left; L as the longest needs.
        """
        longest = int((windows.ends - windows.starts).clamp(max=length).max())
        places = windows.ends[:, None] - longest + torch.arange(longest, device=windows.ends.device)
        return self._items[places.clamp(min=0)], places >= windows.starts[:, None]
