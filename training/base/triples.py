"""What pairwise ranking learns from: every training positive of a user once an epoch, with a negative beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from training.experiment import Experiment
from training.negatives import NegativeSampler

BATCHES = 64
"""How many are made ready at once: few calls, and little memory."""
Draw = Callable[[NegativeSampler, Tensor], Tensor]
"""A negative for each of (n,) user rows."""


class Triples:
    """(user, positive, negative), drawn anew in each epoch."""

    def __init__(self, experiment: Experiment, device: torch.device) -> None:
        """Take the training positives; folded-in users have none."""
        self.indptr, self.items = (torch.from_numpy(part).to(device) for part in experiment.train)
        self._negatives = NegativeSampler(*experiment.no_negatives, len(experiment.dataset.items), device)

    def __len__(self) -> int:
        """Training positives."""
        return len(self.items)

    def batches(
        self, size: int, rng: torch.Generator, draw: Draw | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """User rows, positive and negative item rows of an epoch in random order, (B,) each.

        Args:
            size: B, fewer in the last.
            rng: of the order, and of negatives.
            draw: how negatives are drawn; uniformly, where it is None.
        """
        count = len(self.items)
        numbers = torch.int32 if count <= torch.iinfo(torch.int32).max else torch.int64
        order = torch.randperm(count, generator=rng, device=self.items.device, dtype=numbers)
        for part in torch.split(order, BATCHES * size):
            rows = part.long()
            users = torch.searchsorted(self.indptr, rows, right=True) - 1
            positives = self.items.gather(0, rows).long()
            negatives = draw(self._negatives, users) if draw else self._negatives.draw(users, rng)
            yield from zip(*(torch.split(each, size) for each in (users, positives, negatives)), strict=True)
