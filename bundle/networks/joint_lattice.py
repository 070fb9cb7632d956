"""The joint lattice (docs/algorithms/lattice.md): a rest without the attributes, and what one attribute alone leaves.

    û   = u at the mean length             the ranking of items does not depend on it
    w   = whitened û                       σ = scores(w), n coordinates, a few for each attribute
    y   = û in the metric of the scores    |y - y'|² is how far apart the scores of two users are
    r   = y made independent of all σ      the shared part, in every mask
    z_a = the scores of all attributes but a, made independent of σ_a    taken where a alone is protected
    u*  = linear in r, the z_a taken, the mask, and r times the leading coordinates left, at the mean length

Leading coordinates are the first ones of an attribute. Covariances are moved by these alone, means by all coordinates.
All masks that protect `a` see r and z_a, and nothing else.

Letters: B batch, d dimensions, P parts, M attributes, n score coordinates, K bins, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import expect, sizes_of
from bundle.networks.lattice_layers import Affine, Independent, Scores
from bundle.networks.set_parts import SetParts


class JointLatticeEncoder(SetParts):
    """r has all d numbers. Between r and u one part for each attribute a: z_a, of all other attributes."""

    length: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        m = len(attributes)
        coordinates, leading, (hidden, bins, quantiles, sweeps) = sizes_of(sizes, coordinates=m, leading=m, layers=4)
        few_enough = all(some <= count for some, count in zip(leading, coordinates, strict=True))
        expect("encoder.sizes.leading, no more than the coordinates", True, few_enough)
        ends = list(accumulate(coordinates, initial=0))
        first = [start + place for start, some in zip(ends, leading, strict=False) for place in range(some)]
        super().__init__(attributes, parts, coordinates, dimensions, first)
        n = self.n
        expect("encoder.sizes.coordinates, sum below the dimensions", True, n < dimensions)
        expect("encoder.sizes.layers, bins and quantiles at least 2", True, min(bins, quantiles) >= 2)
        others = [[name for name in attributes if name != left_out] for left_out in attributes] if parts[2:] else []
        expect("the other parts' attributes", others, [part.attributes for part in parts[1:-1]])
        self._places = list(pairwise(ends)) if others else []
        self.register_buffer("length", torch.ones(1))
        self.whiten = Affine(dimensions, dimensions)
        self.scores = Scores(dimensions, hidden, n, quantiles)
        self.metric = Affine(dimensions, dimensions)
        self.shared = Independent(n, first, dimensions, bins, sweeps)
        self.without = nn.ModuleList(
            Independent(end - start, range(some), n - (end - start), bins, sweeps)
            for (start, end), some in zip(self._places, leading, strict=False)
        )
        self.mix = Affine(self.width, dimensions)

    def at_mean_length(self, x: Tensor) -> Tensor:
        """(B, d) → (B, d), every row as long as user vectors are on average; a row of zeros stays one."""
        lengths: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return x * (self.length / lengths.clamp_min(1e-12))

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d); a z_a has zeros where the coordinates of a would be."""
        at_length = self.at_mean_length(u)
        sigma = self.scores(self.whiten(at_length))
        z = sigma.new_zeros(len(u), len(self.without), self.n)
        for place, ((start, end), without) in enumerate(zip(self._places, self.without, strict=True)):
            left = without(torch.cat([sigma[:, :start], sigma[:, end:]], 1), sigma[:, start:end])
            z[:, place, :start], z[:, place, end:] = left[:, :start], left[:, start:]
        return self.parts_of(u, self.shared(self.metric(at_length), sigma), z)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Linear in the parts that the mask leaves, at the mean length; u itself where nothing is protected."""
        fair = self.at_mean_length(self.mix(self.features(parts, mask)))
        return torch.where(mask.any(1, keepdim=True), fair, parts[:, -1])
