"""SM's filters (docs/algorithms/sm.md): each maps a user vector to one that shows less of some attributes.

`FilterEncoder` has a filter for each attribute and averages those of what is protected; `MaskFilterEncoder` has a
filter for each mask. Both give u itself where nothing is protected.

Source: Li et al., SIGIR 2021, "combine" and "separate".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of

LEAK = 0.01
"""Slope of the leaky rectifiers below 0."""


class Filter(nn.Module):
    """Linear d→h, LeakyReLU, Linear h→d, LeakyReLU, batch normalisation.

    In training mode the normalisation uses and tracks the batch; in evaluation mode it is the tracked affine map, a
    function of each row alone. A batch of one row is normalised by what was tracked.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, dimensions: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(dimensions, hidden)
        self.outer = nn.Linear(hidden, dimensions)
        self.scale = nn.Parameter(torch.ones(dimensions))
        self.shift = nn.Parameter(torch.zeros(dimensions))
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("variance", torch.ones(dimensions))

    def forward(self, u: Tensor) -> Tensor:
        """(B, d) → (B, d)."""
        leaky = nn.functional.leaky_relu
        x = leaky(self.outer(leaky(self.inner(u), LEAK)), LEAK)
        batch = self.training and len(x) > 1
        return nn.functional.batch_norm(x, self.mean, self.variance, self.scale, self.shift, training=batch)


class FilterEncoder(FairEncoder):
    """Parts: u, taken where nothing is protected, then f_i(u), taken where attribute i is; u* is the mean of them."""

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        expect("parts of a filters encoder", filter_parts(attributes), list(parts))
        self.filters = _filters(len(attributes), dimensions, sizes)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1 + M, d): u, then the output of each attribute's filter."""
        return torch.stack([u, *(each(u) for each in self.filters)], dim=1)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Mean of the parts that are taken; every mask takes at least one."""
        taken = self.gate(mask)[..., None]
        return torch.where(taken, parts, 0).sum(1) / taken.sum(1)


class MaskFilterEncoder(FairEncoder):
    """One part, u; the mask chooses which of 2^M - 1 filters it goes through."""

    _places: Tensor

    waits = True

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        expect("parts of a mask_filters encoder", mask_filter_parts(), list(parts))
        expect("attributes of a mask_filters encoder, at most", True, len(attributes) <= MOST_ATTRIBUTES)
        self._constant("_places", 2 ** torch.arange(len(attributes)))
        self.filters = _filters(2 ** len(attributes) - 1, dimensions, sizes)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1, d): u."""
        return u[:, None]

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """The filter of each row's mask over u; filter n - 1 is that of the mask whose flags are n in binary."""
        u = parts[:, 0]
        numbers = (mask * self._places).sum(1)
        fair = u.clone()
        for number in torch.unique(numbers[numbers > 0]).tolist():
            rows = torch.nonzero(numbers == number)[:, 0]
            fair = fair.index_copy(0, rows, self.filters[number - 1](u[rows]))
        return fair


MOST_ATTRIBUTES = 6
"""Of a `MaskFilterEncoder`: 63 filters."""


def filter_parts(attributes: Sequence[str]) -> list[Part]:
    """U where nothing is protected, each attribute's filter where it is."""
    user = Part(name="user", attributes=list(attributes), taken="none_protected" if attributes else "always")
    return [user, *(Part(name=f"without_{name}", attributes=[name], taken="all_protected") for name in attributes)]


def mask_filter_parts() -> list[Part]:
    """U itself, for every mask; the mask's filter changes it."""
    return [Part(name="user", attributes=[], taken="always")]


def _filters(count: int, dimensions: int, sizes: Mapping[str, Sequence[int]]) -> nn.ModuleList:
    (widths,) = sizes_of(sizes, filter=3)
    expect("encoder.sizes.filter", [dimensions, widths[1], dimensions], list(widths))
    return nn.ModuleList(Filter(dimensions, widths[1]) for _ in range(count))
