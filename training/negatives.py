"""Negative items for pairwise losses, drawn without Python loops."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class NegativeSampler:
    """Draws items uniformly from those that a user has not touched.

    Membership is looked up in one sorted list of user · I + item: memory grows with the interactions, not with U · I.
    """

    def __init__(self, indptr: NDArray[np.int64], indices: NDArray[np.int32], items: int, device: torch.device) -> None:
        users = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))
        self._touched = torch.from_numpy(np.unique(users * items + indices)).to(device)
        self._items = items

    def draw(self, users: Tensor, rng: torch.Generator, attempts: int = 64) -> Tensor:
        """One item for each entry of ``users``.

        Args:
            users: user rows, any shape, int64.
            rng: source of the draws.
            attempts: how often a touched item is drawn again. A user who touched nearly everything may keep a touched
                item after that, which teaches nothing and does no harm.

        Returns:
            Item rows of the same shape.
        """
        items = self._uniform(users.shape, rng)
        for _ in range(attempts):
            touched = self.touched(users, items)
            count = int(touched.sum())
            if not count:
                break
            items[touched] = self._uniform((count,), rng)
        return items

    def _uniform(self, shape: tuple[int, ...] | torch.Size, rng: torch.Generator) -> Tensor:
        return torch.randint(self._items, shape, generator=rng, device=self._touched.device)

    def touched(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether each user has touched each item; shapes broadcast."""
        keys = users * self._items + items
        found = torch.searchsorted(self._touched, keys).clamp_(max=len(self._touched) - 1)
        return self._touched[found] == keys
