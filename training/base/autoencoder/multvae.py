"""Mult-VAE. Specified in docs/algorithms/autoencoders.md."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bundle import Multvae
from training.base.autoencoder.config import MultvaeConfig
from training.base.autoencoder.model import RowModel, partly_hidden


class MultvaeModel(RowModel):
    """A code for each row, drawn from a normal distribution, and a multinomial one over the items (E2, E3)."""

    network: Multvae
    step: Tensor

    def __init__(self, items: int, config: MultvaeConfig, rng: torch.Generator) -> None:
        super().__init__(Multvae(config.network(items)), config, rng)
        self._most, self._growing = config.divergence_weight, config.growing_steps
        self.spread = nn.Linear(config.hidden, config.code)
        """The logarithm of the code's variances; training alone needs it."""
        nn.init.xavier_uniform_(self.spread.weight, generator=rng)
        nn.init.zeros_(self.spread.bias)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Less the evidence's lower bound, its divergence weighed (E3), mean over rows."""
        counts = x.sum(1, keepdim=True)
        hidden = self.network.hidden(partly_hidden(x, self.dropout, rng) @ self.network.table, counts)
        mean, spread = self.network.mean(hidden), self.spread(hidden)
        noise = torch.randn(mean.shape, generator=rng, device=x.device)
        u = self.network.decoded(mean + noise * (spread / 2).exp())
        missed = -(self.answers(u).log_softmax(1) * x).sum(1)
        divergence = (mean.square() + spread.exp() - 1 - spread).sum(1) / 2
        weight = self._most * min(1.0, int(self.step) / self._growing) if self._growing else self._most
        self.step += 1
        bound: Tensor = (missed + weight * divergence).mean()
        return bound
