"""The joint lattice (docs/algorithms/lattice.md): a rest without the attributes, and the addition of each attribute.

    û   = u at the mean length             the ranking of items does not depend on it
    w   = whitened û                       σ = scores(w), n coordinates, a few for each attribute
    y   = û in the metric of the scores    |y - y'|² is how far apart the scores of two users are
    r   = y less its mean given σ, transported over σ, less its mean given σ again
    u*  = linear in r, the z_S taken, the mask, and the products of r with the coordinates left, at the mean length

Letters: B batch, d dimensions, P parts, M attributes, n score coordinates, K bins, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bundle.manifest import Part
from bundle.networks.encoder import expect, sizes_of
from bundle.networks.lattice_layers import Affine, MeanGivenScores, Scores, Transports
from bundle.networks.set_parts import SetParts


class JointLatticeEncoder(SetParts):
    """r has all d numbers."""

    length: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        coordinates, (hidden, bins, quantiles, sweeps) = sizes_of(sizes, coordinates=len(attributes), layers=4)
        n = sum(coordinates)
        super().__init__(attributes, parts, coordinates, dimensions)
        expect("encoder.sizes.coordinates, sum below the dimensions", True, n < dimensions)
        expect("encoder.sizes.layers, bins and quantiles at least 2", True, min(bins, quantiles) >= 2)
        self._sweeps = sweeps
        self.register_buffer("length", torch.ones(1))
        self.whiten = Affine(dimensions, dimensions)
        self.scores = Scores(dimensions, hidden, n, quantiles)
        self.metric = Affine(dimensions, dimensions)
        self.mean = MeanGivenScores(n, dimensions)
        self.transports = Transports(n * sweeps, bins, dimensions)
        self.mean_again = MeanGivenScores(n, dimensions)
        self.mix = Affine(self.width, dimensions)

    def at_mean_length(self, x: Tensor) -> Tensor:
        """(B, d) → (B, d), every row as long as user vectors are on average; a row of zeros stays one."""
        lengths: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return x * (self.length / lengths.clamp_min(1e-12))

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d)."""
        at_length = self.at_mean_length(u)
        sigma = self.scores(self.whiten(at_length))
        moved = self.mean(self.metric(at_length), sigma)
        moved = self.transports(moved, sigma.repeat(1, self._sweeps))
        return self.parts_of(u, self.mean_again(moved, sigma), sigma)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Linear in the parts that the mask leaves, at the mean length; u itself where nothing is protected."""
        fair = self.at_mean_length(self.mix(self.features(parts, mask)))
        return torch.where(mask.any(1, keepdim=True), fair, parts[:, -1])
