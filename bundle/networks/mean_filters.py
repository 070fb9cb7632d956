"""Filters of AL and CAL (docs/algorithms/fmmrec.md): each maps a user vector to one that shows less of some attributes.

Sources: the filters of FMMRec and the methods that it is compared with, Chen et al., TOIS 2025; compositional filters,
Bose and Hamilton, ICML 2019.

Letters: B batch, d dimensions, h hidden numbers, P parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of

LEAK = 0.2
"""Slope of the leaky rectifier below 0."""


class MlpFilter(nn.Sequential):
    """Linear n→h, LeakyReLU, Linear h→d."""

    def __init__(self, inputs: int, hidden: int, dimensions: int) -> None:
        super().__init__(nn.Linear(inputs, hidden), nn.LeakyReLU(LEAK), nn.Linear(hidden, dimensions))


class MeanFilterEncoder(FairEncoder):
    """Parts: u, taken where nothing is protected, then what each filter makes of it; u* is the mean of those taken.

    A filter's part is taken where all of its attributes are protected: one filter for each attribute, or a single one
    for several together.
    """

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        (widths,) = sizes_of(sizes, filter=3)
        expect("encoder.sizes.filter", [dimensions, widths[1], dimensions], list(widths))
        rules = [part.taken for part in parts]
        expect("rules of the parts of a mean_filters encoder", ["none_protected", *rules[1:]], rules)
        expect("parts of a mean_filters encoder, at least two", True, len(parts) > 1)
        expect("rules of its filters", ["all_protected"] * len(rules[1:]), rules[1:])
        self.filters = nn.ModuleList(MlpFilter(dimensions, widths[1], dimensions) for _ in parts[1:])

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d): u, then the output of each filter."""
        return torch.stack([u, *(each(u) for each in self.filters)], dim=1)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Mean of the parts that are taken; a supported mask takes at least one."""
        taken = self.gate(mask)[..., None]
        return torch.where(taken, parts, 0).sum(1) / taken.sum(1)
