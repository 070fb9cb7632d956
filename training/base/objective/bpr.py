"""Pairwise ranking of every positive alike: the model's own loss."""

from __future__ import annotations

from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import embedding, normalize, softplus

from training.base.objective.contract import Batch, Objective


class Bpr(Objective):
    """Rendle et al., UAI 2009."""

    def loss(self, batch: Batch) -> Tensor:
        """As the model has it."""
        rows = (batch.own, batch.liked, batch.other, batch.rng)
        loss: Tensor = functional_call(batch.model, dict(batch.tables), rows)
        return loss


class CosineBpr(Objective):
    """The same of cosines over a temperature: what ITFR is without its groups."""

    unit_length = True

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature

    def loss(self, batch: Batch) -> Tensor:
        """The mean over the rows."""
        u, v = (normalize(batch.tables[name], dim=1) for name in ("users", "items"))
        margin = (embedding(batch.own, u) * (embedding(batch.liked, v) - embedding(batch.other, v))).sum(-1)
        return softplus(-margin / self._temperature).mean()
