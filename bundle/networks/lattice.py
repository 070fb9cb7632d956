"""The lattice of bundles made before the joint lattice: transports one after another, in whitened coordinates.

    w   = whitened u                      σ = scores(w), n coordinates, a few for each attribute
    r   = w, transported over σ and erased of σ            the shared part, in every mask
    z_S = σ_S less its regression on the other coordinates
    u*  = linear in r, the z_S taken, the mask, and the products of r with the coordinates left

Nothing trains it any more; such bundles are served as before.

Letters: B batch, d dimensions, P parts, M attributes, n score coordinates, K bins, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import expect, sizes_of
from bundle.networks.lattice_layers import Affine, Scores, Transports
from bundle.networks.set_parts import SetParts


class LatticeEncoder(SetParts):
    """r has d - n numbers."""

    residual_weight: Tensor
    residual_bias: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        coordinates, (hidden, bins, quantiles) = sizes_of(sizes, coordinates=len(attributes), layers=3)
        n = sum(coordinates)
        super().__init__(attributes, parts, coordinates, dimensions - n, range(n))
        expect("encoder.sizes.coordinates, sum below the dimensions", True, self.rest > 0)
        expect("encoder.sizes.layers, bins and quantiles at least 2", True, min(bins, quantiles) >= 2)
        self.whiten = Affine(dimensions, dimensions)
        self.scores = Scores(dimensions, hidden, n, quantiles)
        self.transports = Transports(n, bins, dimensions)
        self.erase = Affine(dimensions, self.rest)
        sets = self.part_count - 2
        self.register_buffer("residual_weight", torch.zeros(sets, n, n))
        self.register_buffer("residual_bias", torch.zeros(sets, n))
        self.mix = nn.Linear(self.width, dimensions)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d)."""
        w = self.whiten(u)
        sigma = self.scores(w)
        z = torch.einsum("bn,pnm->bpm", sigma, self.residual_weight) + self.residual_bias
        return self.parts_of(u, self.erase(self.transports(w, sigma)), z)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Linear in the parts that the mask leaves; u itself where nothing is protected."""
        return torch.where(mask.any(1, keepdim=True), self.mix(self.features(parts, mask)), parts[:, -1])
