"""AFRL's networks (docs/algorithms/afrl.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of


class StackedMLP(nn.Module):
    """P equal multi-layer perceptrons side by side, run as one batched matrix product per layer.

    Each: LayerNorm → Linear, ReLU, …, Linear (none at the end), as AFRL's generator (docs/algorithms/afrl.md).
    """

    def __init__(self, count: int, sizes: Sequence[int]) -> None:
        super().__init__()
        self.norm_weight = nn.Parameter(torch.ones(count, 1, sizes[0]))
        self.norm_bias = nn.Parameter(torch.zeros(count, 1, sizes[0]))
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(count, n, m)) for n, m in pairwise(sizes))
        self.biases = nn.ParameterList(nn.Parameter(torch.empty(count, 1, m)) for m in sizes[1:])

    def initialise(self, deviation: float, rng: torch.Generator) -> None:
        """Draw every weight and bias from N(0, deviation²)."""
        with torch.no_grad():
            for parameter in (*self.weights, *self.biases):
                parameter.normal_(0, deviation, generator=rng)

    def forward(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, last size): every network reads the same input."""
        normal = nn.functional.layer_norm(u, u.shape[-1:])
        x = normal * self.norm_weight + self.norm_bias
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if index < last:
                x = torch.relu(x)
        return x.transpose(0, 1)


class AfrlEncoder(FairEncoder):
    """AFRL: u* = G(z_0 ⊕ [z_1 ⊕ … ⊕ z_M gated by the mask]).

    Source: Zhu et al., SIGIR 2024, eq. 17; F and E_i are `StackedMLP`, G is Linear and ReLU in turn.
    """

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        split, combine = sizes_of(sizes, split=2, combine=2)
        expect("encoder.sizes.split, first and last", [dimensions, dimensions], [split[0], split[-1]])
        expect(
            "encoder.sizes.combine, first and last", [len(parts) * dimensions, dimensions], [combine[0], combine[-1]]
        )
        self.parts = StackedMLP(len(parts), split)
        layers: list[nn.Module] = []
        for n, m in pairwise(combine):
            layers += [nn.Linear(n, m), nn.ReLU()]
        self.aggregate = nn.Sequential(*layers[:-1])

    def initialise(self, rng: torch.Generator) -> None:
        """Initial weights as the reference: N(0, .1²) for F and E_i, N(0, .01²) for G."""
        self.parts.initialise(0.1, rng)
        with torch.no_grad():
            for parameter in self.aggregate.parameters():
                parameter.normal_(0, 0.01, generator=rng)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1 + M, d): the shared part z_0, then one part for each attribute."""
        return self.parts(u)  # type: ignore[no-any-return]

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """G over the parts side by side, withheld ones zeroed."""
        return self.aggregate((parts * self.gate(mask)[..., None]).flatten(1))  # type: ignore[no-any-return]
