"""DiffRec: a row is noised, and the row before that is answered. Specified in docs/algorithms/diffusion.md."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding

from bundle import Diffrec
from training.base.autoencoder.config import DiffrecConfig
from training.base.autoencoder.model import RowModel


class DiffrecModel(RowModel):
    """A denoiser that answers with the row itself (F1 - F3)."""

    network: Diffrec

    def __init__(self, items: int, config: DiffrecConfig, rng: torch.Generator) -> None:
        super().__init__(Diffrec(config.network(items)), config, rng)
        self.network.variances.copy_(torch.linspace(config.least_noise, config.most_noise, config.steps))
        self.settle()

    def loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Squared error of a row at a step drawn for it, mean over rows (F3)."""
        noised, step = self.noised(x, rng)
        read = self.hidden_from(noised, rng) @ self.network.table
        u = self.network.denoised(read, embedding(step, self.network.times))
        return (self.answers(u) - x).square().sum(1).mean()

    def noised(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """(B, I) rows at a step each that is drawn for it, and (B,) these steps from 0 (F1)."""
        step = torch.randint(len(self.network.variances), (len(x),), generator=rng, device=x.device)
        variance = self.network.variances[step][:, None]
        noise = torch.randn(x.shape, generator=rng, device=x.device)
        return (1 - variance).sqrt() * x + variance.sqrt() * noise, step

    @torch.no_grad()
    def settle(self) -> None:
        """The first layer of what the decoder answers with."""
        network = self.network
        network.echo.copy_(network.table.T @ self.items)
        network.echo_bias.copy_(network.table.T @ self.biases if self.biases is not None else 0 * network.bias)
