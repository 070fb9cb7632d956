"""The data of a step of a fair model: rows of contexts with their positives, drawn without Python loops.

Letters: C contexts, B batch, R positives a row, M attributes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.base.contract import Contexts
from training.experiment import Mode


@dataclass(frozen=True)
class Batch:
    """The data of one step of a method that reads the user vectors of a frozen base."""

    users: Tensor
    """(B, d) u from the frozen base."""
    labels: Tensor
    """(B, M), -1 where unknown or not to be learned from."""
    protect: Tensor
    """(B, M) bool, True = withhold."""
    positives: Tensor
    """(B, R) item rows."""
    negatives: Tensor
    """(B, R) item rows."""


class ContextRows:
    """The contexts of a base, ready to be drawn from."""

    def __init__(self, contexts: Contexts, device: torch.device) -> None:
        """Take the contexts; users that have none, or only ones without positives, are in no row."""
        self.users = torch.from_numpy(contexts.users).to(device)
        """(C,) user row."""
        self._indptr = torch.from_numpy(contexts.indptr).to(device)
        self._indices = torch.from_numpy(contexts.indices.astype(np.int64)).to(device)
        counts = self._indptr.diff()
        self._owners = torch.repeat_interleave(torch.arange(len(counts), device=device), counts)
        filled = torch.nonzero(counts)[:, 0]
        self._by_user = filled[torch.argsort(self.users[filled], stable=True)]
        _, self._contexts_of_user = torch.unique_consecutive(self.users[self._by_user], return_counts=True)

    def epoch(self, mode: Mode, batch: int, pairs: int, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass: `reproduce` over as many positives as there are, `strict` over every user.

        Args:
            mode: says what a row is.
            batch: rows a step.
            pairs: positives R of a row; with one of them, `reproduce` visits every (context, positive) once.
            rng: of the order and the draws.

        Yields:
            Context rows (B,) and item rows (B, R).
        """
        if mode == "strict":
            return self.each_user(batch, pairs, rng)
        return self.interactions(batch, rng) if pairs == 1 else self.by_activity(batch, pairs, rng)

    def contexts(self, mode: Mode, batch: int, rng: torch.Generator) -> Iterator[Tensor]:
        """One pass without positives: `reproduce` over every context that has some, `strict` over one of each user."""
        if mode == "strict":
            for contexts, _ in self.each_user(batch, 1, rng):
                yield contexts
        else:
            yield from torch.split(self._by_user[self._shuffled(len(self._by_user), rng)], batch)

    def interactions(self, batch: int, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Every positive of every context once, in random order."""
        for rows in torch.split(self._shuffled(len(self._owners), rng), batch):
            yield self._owners[rows], self._indices[rows][:, None]

    def by_activity(self, batch: int, pairs: int, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """As many positives as there are, ``pairs`` to a row; a context comes as often as it has positives.

        A row costs one pass through the networks, however many positives it has.
        """
        rows = self.rows_by_activity(pairs)
        for drawn in torch.split(self._shuffled(len(self._owners), rng)[:rows], batch):
            contexts = self._owners[drawn]
            yield contexts, self._positives_of(contexts, pairs, rng)

    def rows_by_activity(self, pairs: int) -> int:
        """Rows of one pass of `by_activity`."""
        return -(-len(self._owners) // pairs)

    def rows_of_each_user(self) -> int:
        """Rows of one pass of `each_user`."""
        return len(self._contexts_of_user)

    def each_user(self, batch: int, pairs: int, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Every user once, in random order: one context of theirs, and ``pairs`` of its positives."""
        counts = self._contexts_of_user
        starts = counts.cumsum(0) - counts
        for users in torch.split(self._shuffled(len(counts), rng), batch):
            contexts = self._by_user[starts[users] + self._below(counts[users], rng)]
            yield contexts, self._positives_of(contexts, pairs, rng)

    def _positives_of(self, contexts: Tensor, pairs: int, rng: torch.Generator) -> Tensor:
        """(B,) context rows → (B, R) item rows, with repetition."""
        first, length = self._indptr[contexts], self._indptr[contexts + 1] - self._indptr[contexts]
        return self._indices[first[:, None] + self._below(length[:, None].expand(-1, pairs), rng)]

    def _shuffled(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randperm(count, generator=rng, device=self.users.device)

    def _below(self, bounds: Tensor, rng: torch.Generator) -> Tensor:
        """A whole number from 0 to below each bound."""
        draws = torch.rand(bounds.shape, generator=rng, device=bounds.device, dtype=torch.float64)
        return torch.minimum((draws * bounds).long(), bounds - 1)


def draw_masks(mode: Mode, rows: int, attributes: int, rng: torch.Generator) -> Tensor:
    """(B, M) masks, uniform over all 2^M: in `reproduce` one for the batch, in `strict` one for each row."""
    count = 1 if mode == "reproduce" else rows
    masks = torch.randint(2, (count, attributes), generator=rng, device=rng.device, dtype=torch.bool)
    return masks.expand(rows, -1)
