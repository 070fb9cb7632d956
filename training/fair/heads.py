"""Attribute classifiers: AFRL's C_i, D_i, one per attribute, and their class-weighted loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class Heads(nn.Module):
    """One classifier per attribute: Linear d→d, ReLU, Linear d→classes. Initial weights N(0, .01²)."""

    def __init__(self, dimensions: int, classes: Sequence[int], rng: torch.Generator) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(dimensions, dimensions), nn.ReLU(), nn.Linear(dimensions, count))
            for count in classes
        )
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0, 0.01, generator=rng)

    def on_parts(self, parts: Tensor) -> list[Tensor]:
        """Head i reads part i: (B, M, d) → M × (B, classes) logits."""
        return [head(parts[:, index]) for index, head in enumerate(self.heads)]

    def on_shared(self, shared: Tensor) -> list[Tensor]:
        """Every head reads the same vector: (B, d) → M × (B, classes) logits."""
        return [head(shared) for head in self.heads]


def known_entropy(logits: Callable[[int], Tensor], labels: Tensor) -> Tensor:
    """Σ over attributes of the mean cross-entropy, over the rows with a label ≥ 0; a constant 0 where there is none.

    Args:
        logits: (B, classes) of an attribute by its place; not asked for those that no row knows.
        labels: (B, M) classes, -1 where an attribute takes no part.
    """
    total = labels.new_zeros((), dtype=torch.float32)
    for index, label in enumerate(labels.long().T):
        if bool((label >= 0).any()):
            total = total + nn.functional.cross_entropy(logits(index), label, ignore_index=-1)
    return total


class AttributeLoss:
    """Σ_i class-weighted negative log-likelihood; weights are inverse class counts that sum to 1.

    Args (of the constructor):
        labels: (U, M) classes of the users that may be learned from, -1 where unknown or not to be used.
        classes: number of classes of each attribute.
    """

    def __init__(self, labels: Tensor, classes: Sequence[int]) -> None:
        self._weights = []
        for index, count in enumerate(classes):
            known = labels[:, index][labels[:, index] >= 0].long()
            inverse = 1 / torch.bincount(known, minlength=count).clamp(min=1).float()
            self._weights.append(inverse / inverse.sum())

    def __call__(self, logits: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Scalar loss of M × (B, classes) logits against (B, M) labels; a label of -1 takes no part."""
        terms = [
            nn.functional.cross_entropy(score, label, weight, ignore_index=-1)
            for score, label, weight in zip(logits, labels.long().T, self._weights, strict=True)
            if bool((label >= 0).any())
        ]
        return torch.stack(terms).sum() if terms else logits[0].sum() * 0
