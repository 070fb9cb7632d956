"""Histories as PFRec reads them: moments to train on, users to export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.base.sequence.windows import Histories, Windows
from training.data.split import Csr
from training.experiment import Mode

ROWS = 256
"""Users read at a time."""


class Moments:
    """Moments of training histories with at least one item before them, and the items of these moments."""

    def __init__(self, train: Csr, length: int, device: torch.device) -> None:
        """Take the training positives in time order; a history has at most ``length`` items."""
        self._histories, self._length = Histories(*train, device), length
        self._windows = self._histories.moments()
        _, self._of_user = torch.unique_consecutive(self._windows.users, return_counts=True)

    def batches(self, mode: Mode, per_user: int, size: int, rng: torch.Generator) -> Iterator[Windows]:
        """``per_user`` moments for each user that has any, in batches.

        Args:
            mode: `reproduce` draws from all moments without replacement, `strict` from each user's own with it.
            per_user: how many.
            size: of a batch.
            rng: of draws and order.
        """
        device, users = self._of_user.device, len(self._of_user)
        if mode == "reproduce":
            chosen = torch.randperm(len(self._windows.users), generator=rng, device=device)[: per_user * users]
        else:
            counts = self._of_user.repeat(per_user)
            draws = torch.rand(len(counts), generator=rng, device=device, dtype=torch.float64)
            first = (self._of_user.cumsum(0) - self._of_user).repeat(per_user)
            chosen = first + torch.minimum((draws * counts).long(), counts - 1)
        return self._windows[chosen].batches(size, self._length + 1, rng)

    def cut(self, windows: Windows) -> tuple[Tensor, Tensor, Tensor]:
        """(B, L) item rows before each moment, (B, L) flags, False for padding, and the (B,) items that came then."""
        rows, present = self._histories.cut(windows, self._length + 1)
        return rows[:, :-1], present[:, :-1], rows[:, -1]


def padded(
    histories: Sequence[NDArray[np.int32]], length: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Blocks of histories of similar length, their newest items, padded on the left.

    Args:
        histories: item rows, oldest first.
        length: the newest items that are read.

    Yields:
        Places (B,) in ``histories``, item rows (B, L), flags (B, L), False for padding. Empty histories are left out.
    """
    lengths = np.array([min(len(history), length) for history in histories], np.int64)
    order = np.argsort(lengths, kind="stable")[(lengths == 0).sum() :]
    for start in range(0, len(order), ROWS):
        places = order[start : start + ROWS]
        width = lengths[places[-1]]
        present = np.arange(width) >= width - lengths[places, None]
        items = np.zeros(present.shape, np.int64)
        items[present] = np.concatenate([histories[place][-length:] for place in places])
        yield places, items, present
