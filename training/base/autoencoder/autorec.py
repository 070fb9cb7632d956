"""AutoRec over users, for positives alone: squared error over a row.

Specified in docs/algorithms/autoencoders.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bundle import Autorec
from training.base.autoencoder.config import AutorecConfig
from training.base.autoencoder.model import RowModel, partly_hidden


class AutorecModel(RowModel):
    """One hidden layer (E1)."""

    network: Autorec

    def __init__(self, items: int, config: AutorecConfig, rng: torch.Generator) -> None:
        super().__init__(Autorec(config.network(items)), config, rng)

    def loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Squared error of a row, mean over rows."""
        u = self.network.users(partly_hidden(x, self.dropout, rng) @ self.network.table, x.sum(1, keepdim=True))
        return (self.answers(u) - x).square().sum(1).mean()
