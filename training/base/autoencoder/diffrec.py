"""DiffRec: a row is noised, and the row before that is answered. Specified in docs/algorithms/diffusion.md."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding

from bundle import Diffrec
from training.base.autoencoder.config import DiffrecConfig
from training.base.autoencoder.model import RowModel, partly_hidden


class DiffrecModel(RowModel):
    """A denoiser that answers with the row itself (F1 - F3)."""

    network: Diffrec

    def __init__(self, items: int, config: DiffrecConfig, rng: torch.Generator) -> None:
        super().__init__(Diffrec(config.network(items)), config, rng)
        self.network.variances.copy_(torch.linspace(config.least_noise, config.most_noise, config.steps))
        self.settle()

    def loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Squared error of a row at a step drawn for it, mean over rows (F3)."""
        noisy, step = noised(x, self.network.variances, rng)
        read = partly_hidden(noisy, self.dropout, rng) @ self.network.table
        u = self.network.denoised(read, embedding(step, self.network.times))
        return (self.answers(u) - x).square().sum(1).mean()

    def settle(self) -> None:
        """The first layer of what the decoder answers with."""
        self.network.settle(self.items, self.biases)


def noised(x: Tensor, variances: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """F1: (B, I) rows at a step each that is drawn for it, and (B,) these steps from 0; of (T,) variances."""
    step = torch.randint(len(variances), (len(x),), generator=rng, device=x.device)
    variance = variances[step][:, None]
    noise = torch.randn(x.shape, generator=rng, device=x.device)
    return (1 - variance).sqrt() * x + variance.sqrt() * noise, step
