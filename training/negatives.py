"""Negative items for pairwise losses, drawn without Python loops."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

NO_ITEM = np.iinfo(np.int32).max


class NegativeSampler:
    """Draws items uniformly from those that a user has not touched.

    Membership is looked up in each user's items in ascending order: memory grows with the interactions, 4 bytes each,
    not with U · I.
    """

    def __init__(self, indptr: NDArray[np.int64], indices: NDArray[np.int32], items: int, device: torch.device) -> None:
        touched = np.append(indices, np.int32(NO_ITEM))
        rows = csr_matrix((np.ones(len(indices), np.bool_), touched[:-1], indptr), (len(indptr) - 1, items))
        rows.sort_indices()
        touched[:-1] = rows.indices  # the same memory, where the matrix has not changed the type of its numbers
        self._indptr, self._touched = torch.from_numpy(indptr).to(device), torch.from_numpy(touched).to(device)
        self._strides = [1 << power for power in reversed(range(int(np.diff(indptr).max(initial=0)).bit_length()))]
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
        shape = (users + items).shape
        users, items = users.expand(shape).flatten(), items.expand(shape).flatten()
        place, end = self._indptr.gather(0, users), self._indptr.gather(0, users + 1)
        nowhere = torch.full_like(place, len(self._touched) - 1)
        for stride in self._strides:  # binary search: on over items that are smaller
            ahead = place + stride
            at = torch.where(ahead <= end, ahead - 1, nowhere)
            place = torch.where(self._touched.gather(0, at) < items, ahead, place)
        at = torch.where(place < end, place, nowhere)
        return (self._touched.gather(0, at) == items).view(shape)
