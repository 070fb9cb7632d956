"""The joint lattice (docs/algorithms/lattice.md): a rest without the attributes, and what their scores say besides.

    û   = u at the mean length             the ranking of items does not depend on it
    w   = whitened û                       σ = scores(w), n coordinates, a few for each attribute
    y   = û in the metric of the scores    |y - y'|² is how far apart the scores of two users are
    r   = y made independent of all σ      the shared part, in every mask
    z_a = σ_a beside the scores of all others    taken where a is not protected
    e_a = σ of all others beside σ_a             taken where a alone is protected
    u*  = linear in r, the σ expected from the z and e taken, the mask, and r times the leading of these σ, at the mean
          length

Leading coordinates are the first ones of an attribute. Covariances are moved by these alone, means by all coordinates.
All masks that protect `a` see r, the z of the others and e_a, and nothing else: together independent of σ_a.

Letters: B batch, d dimensions, P parts, M attributes, n score coordinates, K bins, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import expect, sizes_of
from bundle.networks.lattice_layers import Affine, Beside, Independent, Scores
from bundle.networks.set_parts import SetParts


class JointLatticeEncoder(SetParts):
    """r has all d numbers. Between r and u a z for each attribute; then an e for each, from three attributes on."""

    length: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        m = self.attribute_count
        counts, leading, (hidden, bins, quantiles, sweeps) = sizes_of(sizes, coordinates=m, leading=m, layers=4)
        few_enough = all(some <= count for some, count in zip(leading, counts, strict=True))
        expect("encoder.sizes.leading, no more than the coordinates", True, few_enough)
        self.n = n = sum(counts)
        expect("encoder.sizes.coordinates, sum below the dimensions", True, n < dimensions)
        expect("encoder.sizes.layers, bins and quantiles at least 2", True, min(bins, quantiles) >= 2)
        sets = [part.attributes for part in parts[1:-1]]
        expect("the other parts' attributes", sets_of(attributes), sets)

        places = [range(start, end) for start, end in pairwise(accumulate(counts, initial=0))]
        first = [place for own, some in zip(places, leading, strict=False) for place in own[:some]]
        self._multiplied = first if sets else []
        self.register_buffer("length", torch.ones(1))
        self.whiten = Affine(dimensions, dimensions)
        self.scores = Scores(dimensions, hidden, n, quantiles)
        self.metric = Affine(dimensions, dimensions)
        self.shared = Independent(n, first, dimensions, bins, sweeps)
        if sets:
            self.beside = Beside(places, leading, bins, sweeps, all_but=len(sets) > m)
            self.expected = Affine(len(sets) // m * n * (1 + m), n)
        self.mix = Affine(dimensions + (n if sets else 0) + m + len(self._multiplied) * dimensions, dimensions)

    def at_mean_length(self, x: Tensor) -> Tensor:
        """(B, d) → (B, d), every row as long as user vectors are on average; a row of zeros stays one."""
        lengths: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return x * (self.length / lengths.clamp_min(1e-12))

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d); z and e have zeros where the coordinates of other attributes would be."""
        at_length = self.at_mean_length(u)
        sigma = self.scores(self.whiten(at_length))
        rest = self.shared(self.metric(at_length), sigma)
        return self.parts_of(u, rest, self.beside(sigma) if self._multiplied else sigma.new_zeros(len(u), 0, 0))

    def left(self, parts: Tensor, mask: Tensor) -> Tensor:
        """What a mask leaves of the scores: z, e, and both again for each attribute, where it is protected.

        Args:
            parts: (B, P, d).
            mask: (B, M).

        Returns:
            (B, (1 + M) · 2n), or n in place of 2n where there is no e.
        """
        taken = parts[:, 1:-1, : self.n] * self.gate(mask)[:, 1:-1, None]
        each = taken.reshape(parts.shape[0], -1, self.attribute_count, self.n).sum(2).flatten(1)
        flags = nn.functional.pad(mask.to(parts.dtype), (1, 0), value=1.0)
        return (flags[:, :, None] * each[:, None, :]).flatten(1)

    def features(self, parts: Tensor, mask: Tensor) -> Tensor:
        """What `mix` is linear in: r, the scores expected, the mask, r times those that lead."""
        rest, protected = parts[:, 0], mask.to(parts.dtype)
        if not self._multiplied:
            return torch.cat([rest, protected], 1)
        sigma = self.expected(self.left(parts, mask))
        products = sigma[:, self._multiplied, None] * rest[:, None, :]
        return torch.cat([rest, sigma, protected, products.flatten(1)], 1)

    def protected(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Linear in the features, at the mean length: (B, P, d) and masks that protect something (B, M) → (B, d)."""
        return self.at_mean_length(self.mix(self.features(parts, mask)))

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """The protected vector; u itself where nothing is protected."""
        return torch.where(mask.any(1, keepdim=True), self.protected(parts, mask), parts[:, -1])


def sets_of(attributes: Sequence[str]) -> list[list[str]]:
    """The attributes of each part between r and u: each alone; then all but each, where that is another set."""
    alone = [[name] for name in attributes] if len(attributes) > 1 else []
    return alone + ([[name for name in attributes if name != own] for own in attributes] if len(attributes) > 2 else [])
