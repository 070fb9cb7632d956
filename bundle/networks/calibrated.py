"""LEGO's networks (docs/algorithms/lego.md): a correction for each attribute, and weights that combine some of them.

u* = u + Σ_{i ∈ S} (1 + Σ_{j ∈ S, j ≠ i} A_ij) c_i(u), where S is what is protected. One attribute alone is withheld by
u + c_i(u), its calibrated vector.

Source: a variant of the two stages that arXiv 2510.20327's abstract names, calibration and combination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of


class Calibrator(nn.Module):
    """Linear d→h, ReLU, Linear h→d."""

    def __init__(self, dimensions: int, hidden: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(dimensions, hidden), nn.Linear(hidden, dimensions)

    def forward(self, x: Tensor) -> Tensor:
        """(B, d) → (B, d)."""
        return self.outer(torch.relu(self.inner(x)))  # type: ignore[no-any-return]


class CalibratedEncoder(FairEncoder):
    """Parts: u, then the correction of each attribute; combine adds the corrections of what is protected."""

    centre: Tensor
    spread: Tensor
    _others_than_it: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        expect("parts of a calibrated encoder", calibrated_parts(attributes), list(parts))
        (widths,) = sizes_of(sizes, calibrator=3)
        expect("encoder.sizes.calibrator", [dimensions, widths[1], dimensions], list(widths))
        count = len(attributes)
        self.register_buffer("centre", torch.zeros(dimensions))
        self.register_buffer("spread", torch.ones(dimensions))
        self.calibrators = nn.ModuleList(Calibrator(dimensions, widths[1]) for _ in attributes)
        self.weights = nn.Parameter(torch.zeros(count, count))
        self._constant("_others_than_it", 1 - torch.eye(count))

    def standard(self, u: Tensor) -> Tensor:
        """User vectors (…, d) with mean 0 and deviation 1 in every dimension over the users trained on."""
        return (u - self.centre) / self.spread

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1 + M, d): u, then the correction of each attribute."""
        x = self.standard(u)
        return torch.stack([u, *(each(x) * self.spread for each in self.calibrators)], dim=1)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """U and the weighted corrections of the attributes that are protected; u itself where none is."""
        protect = mask.to(parts.dtype)
        weights = 1 + protect @ (self.weights * self._others_than_it).T
        return parts[:, 0] + ((protect * weights)[..., None] * parts[:, 1:]).sum(1)


def calibrated_parts(attributes: Sequence[str]) -> list[Part]:
    """U in every mask, each attribute's correction where it is protected."""
    user = Part(name="user", attributes=[], taken="always")
    return [user, *(Part(name=f"correction_{name}", attributes=[name], taken="all_protected") for name in attributes)]
