"""GroupDRO and StreamDRO: groups with a large loss gain weight.

Equations D1 and D2 of docs/algorithms/objectives.md. Sources: Sagawa et al., ICLR 2020; Wen et al., WWW 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from training.base.objective.contract import Batch, Objective
from training.base.objective.groups import Intersections
from training.base.objective.losses import GroupWeights, by_group


class GroupDro(Objective):
    """Weights follow the losses of the batch or, with a momentum, their running means."""

    def __init__(self, groups: Intersections, rate: float, momentum: float = 0.0) -> None:
        self._groups, self._momentum = groups, momentum
        device = groups.of_users.device
        self._weights = GroupWeights(len(groups), rate, device)
        self._running = torch.zeros(len(groups) + 1, device=device)

    def loss(self, batch: Batch) -> Tensor:
        """Σ w L over groups; the weights move first, and only where every group is in the batch."""
        liked, other = batch.scores()
        groups = self._groups.of(batch.users, batch.positives)
        found = by_group(softplus(other - liked), groups, len(self._groups))
        now = found.mean.detach()
        if self._weights.may_move(found):
            kept = self._momentum if self._running.any() else 0.0  # the first one is its own mean
            self._running.lerp_(now, 1 - kept)
            self._weights.move(self._running[:-1])
        return (found.shares(self._weights.values) * found.mean).sum()

    def epoch_ends(self) -> None:
        """Nothing to do, but perhaps to say."""
        self._weights.epoch_ends()

    def tensors(self) -> dict[str, Tensor]:
        """Weights and running means."""
        return {"weights": self._weights.values, "running": self._running}

    def begin(self) -> None:
        """Equal weights."""
        self._weights.begin()
        self._running.zero_()
