"""The joint lattice (docs/algorithms/lattice.md): a rest without the attributes, and what each says beside all others.

    û   = u at the mean length             the ranking of items does not depend on it
    w   = whitened û                       σ = scores(w), n coordinates, a few for each attribute
    y   = û in the metric of the scores    |y - y'|² is how far apart the scores of two users are
    r   = y made independent of all σ      the shared part, in every mask
    z_a = the scores of a less their mean given all others; for each attribute in turn, the z of all others together are
          made independent of its score    taken where a is not protected
    u*  = linear in r, the z taken, each with each attribute protected, the mask, and r times the leading z taken, at the
          mean length

Leading coordinates are the first ones of an attribute. Covariances are moved by these alone, means by all coordinates.
All masks that protect `a` see r and the z of the others, and nothing else.

Letters: B batch, d dimensions, P parts, M attributes, n score coordinates, K bins, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import expect, sizes_of
from bundle.networks.lattice_layers import Affine, Independent, MeanGivenScores, Scores
from bundle.networks.set_parts import SetParts


class JointLatticeEncoder(SetParts):
    """r has all d numbers. Between r and u one part for each attribute, where there are several."""

    length: Tensor
    _owner: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        m = len(attributes)
        coordinates, leading, (hidden, bins, quantiles, sweeps, rounds) = sizes_of(
            sizes, coordinates=m, leading=m, layers=5
        )
        few_enough = all(some <= count for some, count in zip(leading, coordinates, strict=True))
        expect("encoder.sizes.leading, no more than the coordinates", True, few_enough)
        ends = list(accumulate(coordinates, initial=0))
        first = [start + place for start, some in zip(ends, leading, strict=False) for place in range(some)]
        super().__init__(attributes, parts, coordinates, dimensions, first)
        n = self.n
        expect("encoder.sizes.coordinates, sum below the dimensions", True, n < dimensions)
        expect("encoder.sizes.layers, bins and quantiles at least 2", True, min(bins, quantiles) >= 2)
        expect("the other parts' attributes", [[name] for name in attributes if m > 1], [p.attributes for p in parts[1:-1]])
        self.own = [range(*each) for each in pairwise(ends)] if m > 1 else []
        """Of each part between r and u, the places of its coordinates."""
        self.others = [[place for place in range(n) if place not in own] for own in self.own]
        self.register_buffer("length", torch.ones(1))
        self._constant("_owner", torch.tensor([which for which, count in enumerate(coordinates) for _ in range(count)]))
        self.whiten = Affine(dimensions, dimensions)
        self.scores = Scores(dimensions, hidden, n, quantiles)
        self.metric = Affine(dimensions, dimensions)
        self.shared = Independent(n, first, dimensions, bins, sweeps)
        self.beside = nn.ModuleList(MeanGivenScores(n - len(own), len(own)) for own in self.own)
        self.without = nn.ModuleList(
            Independent(len(own), range(some), n - len(own), bins, sweeps)
            for _ in range(rounds)
            for own, some in zip(self.own, leading, strict=False)
        )
        if self.own:
            self.told = Affine(n * (1 + m), n)
        self.mix = Affine(self.width, dimensions)

    @property
    def width(self) -> int:
        """How many `features` there are."""
        m = self.attribute_count
        return self.rest + (self.n if self.own else 0) + m + len(self._multiplied) * self.rest

    def at_mean_length(self, x: Tensor) -> Tensor:
        """(B, d) → (B, d), every row as long as user vectors are on average; a row of zeros stays one."""
        lengths: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return x * (self.length / lengths.clamp_min(1e-12))

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d); a z_a has zeros where the coordinates of others would be."""
        at_length = self.at_mean_length(u)
        sigma = self.scores(self.whiten(at_length))
        beside = self.each_beside(sigma)
        z = sigma.new_zeros(len(u), len(self.own), self.n)
        for place, own in enumerate(self.own):
            z[:, place, own.start : own.stop] = beside[:, own.start : own.stop]
        return self.parts_of(u, self.shared(self.metric(at_length), sigma), z)

    def each_beside(self, sigma: Tensor) -> Tensor:
        """(B, n) scores → (B, n), what those of each attribute say beside those of all others."""
        z = sigma.clone()
        for own, others, mean in zip(self.own, self.others, self.beside, strict=True):
            z[:, own.start : own.stop] = mean(sigma[:, own.start : own.stop], sigma[:, others])
        for step, independent in enumerate(self.without):
            own, others = self.own[step % len(self.own)], self.others[step % len(self.own)]
            z[:, others] = independent(z[:, others], sigma[:, own.start : own.stop])
        return z

    def left(self, parts: Tensor, mask: Tensor) -> Tensor:
        """(B, n (1 + M)): the z that the mask leaves, and these once more for each attribute, where it is protected."""
        shown = mask.to(parts.dtype)
        z = parts[:, 1:-1, : self.n].sum(1) * (1 - shown)[:, self._owner]
        return torch.cat([z, (z[:, None, :] * shown[:, :, None]).flatten(1)], dim=1)

    def features(self, parts: Tensor, mask: Tensor) -> Tensor:
        """What a mask leaves; (B, `width`)."""
        rest, shown = parts[:, 0], mask.to(parts.dtype)
        if not self.own:
            return torch.cat([rest, shown, rest.new_zeros(len(rest), len(self._multiplied) * self.rest)], dim=1)
        sigma = self.told(self.left(parts, mask)) * (1 - shown)[:, self._owner]
        products = (sigma[:, self._multiplied, None] * rest[:, None, :]).flatten(1)
        return torch.cat([rest, sigma, shown, products], dim=1)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Linear in the features, at the mean length; u itself where nothing is protected."""
        fair = self.at_mean_length(self.mix(self.features(parts, mask)))
        return torch.where(mask.any(1, keepdim=True), fair, parts[:, -1])
