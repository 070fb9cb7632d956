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
    _own: Tensor
    _size: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        coordinates, (hidden, bins, quantiles) = sizes_of(sizes, coordinates=len(attributes), layers=3)
        n = sum(coordinates)
        super().__init__(attributes, parts)
        self.n, self.rest = n, dimensions - n
        expect("encoder.sizes.coordinates, sum below the dimensions", True, self.rest > 0)
        expect("encoder.sizes.layers, bins and quantiles at least 2", True, min(bins, quantiles) >= 2)
        self.whiten = Affine(dimensions, dimensions)
        self.scores = Scores(dimensions, hidden, n, quantiles)
        self.transports = Transports(n, bins, dimensions)
        self.erase = Affine(dimensions, self.rest)
        sets, m = self.part_count - 2, self.attribute_count
        owners = [name for name, count in zip(attributes, coordinates, strict=True) for _ in range(count)]
        own = [[owner in part.attributes for owner in owners] for part in parts[1:-1]]
        self._constant("_own", torch.tensor(own, dtype=torch.bool).reshape(sets, n))
        self._constant("_size", torch.tensor([len(part.attributes) for part in parts[1:-1]], dtype=torch.int64))
        self.register_buffer("residual_weight", torch.zeros(sets, n, n))
        self.register_buffer("residual_bias", torch.zeros(sets, n))
        self.mix = nn.Linear(self.rest + sets * n + m + n * self.rest, dimensions)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d)."""
        w = self.whiten(u)
        sigma = self.scores(w)
        z = torch.einsum("bn,pnm->bpm", sigma, self.residual_weight) + self.residual_bias
        return self.parts_of(u, self.erase(self.transports(w, sigma)), z)

    def features(self, parts: Tensor, mask: Tensor) -> Tensor:
        """What `mix` is linear in: r, the z_S taken, the mask, and r times each coordinate left."""
        taken = self.gate(mask)[:, 1:-1, None]
        rest = parts[:, 0, : self.rest]
        scores = parts[:, 1:-1, : self.n] * taken
        products = self._left(scores, taken)[:, :, None] * rest[:, None, :]
        return torch.cat([rest, scores.flatten(1), mask.to(rest.dtype), products.flatten(1)], dim=1)

    def _left(self, scores: Tensor, taken: Tensor) -> Tensor:
        """(B, n) each coordinate as the largest sets taken give it, their mean; 0 where none is taken."""
        if not len(self._size):
            return scores.sum(1)
        size = self._size[:, None] * (self._own & taken)
        largest = (size == size.amax(1, keepdim=True)) & (size > 0)
        return (scores * largest).sum(1) / largest.sum(1).clamp_min(1)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Linear in the parts that the mask leaves; u itself where nothing is protected."""
        return torch.where(mask.any(1, keepdim=True), self.mix(self.features(parts, mask)), parts[:, -1])
