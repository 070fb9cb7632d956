"""Pairwise ranking of every positive alike: the model's own loss."""

from __future__ import annotations

from torch import Tensor
from torch.func import functional_call

from training.base.objective.contract import Batch, Objective


class Bpr(Objective):
    """Rendle et al., UAI 2009."""

    def loss(self, batch: Batch) -> Tensor:
        """As the model has it."""
        rows = (batch.own, batch.liked, batch.other, batch.rng)
        loss: Tensor = functional_call(batch.model, dict(batch.tables), rows)
        return loss
