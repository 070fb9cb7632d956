"""The interface of the autoencoders for their training.

Letters: U users, I items, B batch, d dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle import HistorySet
from training.base.autoencoder.config import AutoencoderConfig

Loss = Callable[[Tensor, torch.Generator], Tensor]
"""Of (B, I) rows of zeros and ones; the generator makes all random draws."""


class RowModel(nn.Module, ABC):
    """An encoder of rows of interactions, and the decoder's row of every item."""

    def __init__(self, network: HistorySet, config: AutoencoderConfig, rng: torch.Generator) -> None:
        """Begin at random.

        Args:
            network: the encoder, without values.
            config: sizes.
            rng: of the first values.
        """
        super().__init__()
        items, dimensions = network.widths[0], network.widths[-1]
        self.network, self._config = network, config
        self.items = nn.Parameter(torch.empty(items, dimensions))
        self.biases = nn.Parameter(torch.empty(items)) if config.item_biases else None
        self.dropout = config.dropout
        begin(self, rng)

    @abstractmethod
    def loss(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Of (B, I) rows of zeros and ones; ``rng`` makes all random draws."""

    def optimisers(self) -> dict[str, tuple[Loss, torch.optim.Adam]]:
        """What each batch trains, in this order: losses and who steps down them, by names for checkpoints."""
        rate, decay = self._config.learning_rate, self._config.weight_decay
        adam = torch.optim.Adam(self.parameters(), rate, weight_decay=decay, fused=True)
        return {"adam": (self.loss, adam)}

    def settle(self) -> None:
        """Bring what the encoder keeps of the decoder up to date: before it is asked, or exported."""

    def answers(self, u: Tensor) -> Tensor:
        """(B, d) → (B, I) scores."""
        scores = u @ self.items.T
        return scores if self.biases is None else scores + self.biases

    def item_vectors(self) -> NDArray[np.float32]:
        """(I, d) and, where there are biases, one dimension more; on the CPU."""
        biases = [] if self.biases is None else [self.biases.detach()[:, None]]
        return torch.cat([self.items.detach(), *biases], dim=1).cpu().numpy()


def partly_hidden(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """That share of the entries zero, the others scaled up."""
    kept = torch.rand(x.shape, generator=rng, device=x.device) >= share
    return x * kept / (1 - share)


def begin(module: nn.Module, rng: torch.Generator) -> None:
    """Matrices by Glorot's uniform draw, everything else 0."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter, generator=rng)
            else:
                parameter.zero_()
