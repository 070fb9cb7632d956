"""Discriminators: a classifier for each attribute, of user vectors, of means of item vectors, or of modal means."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bundle.networks.mean_filters import LEAK
from training.fair.heads import known_entropy
from training.fair.sm.adversaries import dropped


class Discriminators(nn.Module):
    """For each attribute Linear n→n/2, LeakyReLU, dropout, Linear n/2→classes; Glorot's uniform initial weights.

    Source: FMMRec's public code.
    """

    def __init__(self, inputs: int, classes: Sequence[int], dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        hidden = max(inputs // 2, 1)
        self.inner = nn.ModuleList(nn.Linear(inputs, hidden) for _ in classes)
        self.outer = nn.ModuleList(nn.Linear(hidden, count) for count in classes)
        self._dropout = dropout
        initialise(self, rng)

    def forward(self, x: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Σ over attributes of the mean cross-entropy, over the rows with a label ≥ 0; 0 where there is none.

        Args:
            x: (B, n).
            labels: (B, M) classes, -1 where an attribute is not protected, or not known.
            rng: of the dropout.
        """
        return known_entropy(lambda index: self.logits(index, x, rng), labels)

    def logits(self, index: int, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """(B, n) → (B, classes) of one attribute; without a generator nothing is dropped."""
        hidden = nn.functional.leaky_relu(self.inner[index](x), LEAK)
        if rng is not None:
            hidden = dropped(hidden, self._dropout, rng)
        return self.outer[index](hidden)  # type: ignore[no-any-return]


def initialise(network: nn.Module, rng: torch.Generator) -> None:
    """Glorot's uniform initial weights for matrices, zero for biases."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                bound = (6 / sum(parameter.shape)) ** 0.5
                parameter.uniform_(-bound, bound, generator=rng)
            else:
                parameter.zero_()
