"""SM's discriminators: one deep classifier for each attribute."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from training.fair.heads import known_entropy


class Adversaries(nn.Module):
    """For each attribute d→2d→4d→2d→2d→d→d/2→classes, LeakyReLU (.2) and dropout between layers.

    Source: the discriminators of Li et al., SIGIR 2021, as in their code.
    """

    def __init__(self, dimensions: int, classes: Sequence[int], dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        d = dimensions
        widths = [d, 2 * d, 4 * d, 2 * d, 2 * d, d, max(d // 2, 1)]
        self.inner = nn.ModuleList(nn.ModuleList(nn.Linear(n, m) for n, m in pairwise(widths)) for _ in classes)
        self.last = nn.ModuleList(nn.Linear(widths[-1], count) for count in classes)
        self._dropout = dropout
        for parameter in self.parameters():
            initialise(parameter, rng)

    def forward(self, fair: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Σ over attributes of the mean cross-entropy, over the rows with a label ≥ 0; 0 where there is none.

        Args:
            fair: (B, d).
            labels: (B, M) classes, -1 where an attribute is not protected, or not known.
            rng: of the dropout.
        """
        return known_entropy(lambda index: self.logits(index, fair, rng), labels)

    def logits(self, index: int, x: Tensor, rng: torch.Generator) -> Tensor:
        """(B, d) → (B, classes) of one attribute."""
        layers = self.inner[index]
        assert isinstance(layers, nn.ModuleList)  # noqa: S101  as it was made
        for layer in layers:
            x = dropped(nn.functional.leaky_relu(layer(x), 0.2), self._dropout, rng)
        return self.last[index](x)  # type: ignore[no-any-return]


def dropped(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Zero a share of the entries, to the nearest 256th, and scale up the rest: a random byte for each is enough."""
    bar = round(256 * share)
    if not bar:
        return x
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None, generator=rng)
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= bar
    return x * kept * (256 / (256 - bar))


def initialise(parameter: Tensor, rng: torch.Generator) -> None:
    """He's normal initial weights for a matrix (n, m), zero for a bias.

    The reference draws from N(0, .01²), with which seven layers give next to no signal for many epochs.
    """
    with torch.no_grad():
        if parameter.dim() > 1:
            parameter.normal_(0, (2 / parameter.shape[1]) ** 0.5, generator=rng)
        else:
            parameter.zero_()


def protected_labels(labels: Tensor, protect: Tensor) -> Tensor:
    """(B, M) labels of protected attributes, -1 where one is not protected or not known."""
    return torch.where(protect, labels, -1)
