"""The lattice of parts (docs/algorithms/lattice.md): a rest without the attributes, and the addition of each attribute.

    w   = whitened u                      σ = scores(w), n coordinates, a few for each attribute
    r   = w, transported over σ and erased of σ            the shared part, in every mask
    z_S = σ_S less its regression on the other coordinates    taken where no attribute of S is protected
    u                                                      taken where nothing is protected
    u*  = linear in r, the z_S taken, the mask, and the products of r with the coordinates left

All masks that protect `a` see functions of r and of the z_S without `a`, and of nothing else.

Letters: B batch, d dimensions, P parts, M attributes, n score coordinates, K bins, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of


class Affine(nn.Module):
    """x ↦ x W + b with constants that are computed, not trained."""

    weight: Tensor
    bias: Tensor

    def __init__(self, n: int, m: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n, m))
        self.register_buffer("bias", torch.zeros(m))

    def forward(self, x: Tensor) -> Tensor:
        """(B, n) → (B, m)."""
        return x @ self.weight + self.bias


class Scores(nn.Module):
    """The information of u on the attributes: (B, d) → (B, n), each coordinate standard normal over fitted users."""

    knots: Tensor
    levels: Tensor

    def __init__(self, dimensions: int, hidden: int, n: int, quantiles: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dimensions, n)
        self.inner = nn.Linear(dimensions, hidden)
        self.outer = nn.Linear(hidden, n)
        self.register_buffer("knots", torch.zeros(n, quantiles))
        self.register_buffer("levels", torch.zeros(quantiles))

    def raw(self, w: Tensor) -> Tensor:
        """Before the quantiles: a linear map and one hidden layer."""
        return self.linear(w) + self.outer(torch.relu(self.inner(w)))  # type: ignore[no-any-return]

    def forward(self, w: Tensor) -> Tensor:
        """Through each coordinate's own quantiles, piecewise linear, constant beyond the ends."""
        x = self.raw(w).T.contiguous()
        at = torch.searchsorted(self.knots, x).clamp(1, self.knots.shape[1] - 1)
        low, high = self.knots.gather(1, at - 1), self.knots.gather(1, at)
        share = ((x - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
        return (self.levels[at - 1] + share * (self.levels[at] - self.levels[at - 1])).T


class Transports(nn.Module):
    """One transport after another: for each coordinate an affine map chosen by its value.

    K maps for each coordinate, interpolated linearly between the centres of its bins.
    """

    centres: Tensor
    maps: Tensor
    offsets: Tensor

    def __init__(self, n: int, bins: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(n, bins))
        self.register_buffer("maps", torch.zeros(n, bins, dimensions, dimensions))
        self.register_buffer("offsets", torch.zeros(n, bins, dimensions))

    def bin_weights(self, index: int, s: Tensor) -> Tensor:
        """(B,) values of one coordinate → (B, K) weights, at most two of them above 0, summing to 1."""
        centres = self.centres[index]
        high = torch.searchsorted(centres, s.contiguous()).clamp(1, len(centres) - 1)
        low = high - 1
        share = ((s - centres[low]) / (centres[high] - centres[low]).clamp_min(1e-6)).clamp(0, 1)
        weights = torch.zeros(len(s), len(centres), dtype=s.dtype, device=s.device)
        return weights.scatter(1, low[:, None], 1 - share[:, None]).scatter(1, high[:, None], share[:, None])

    def step(self, index: int, x: Tensor, s: Tensor) -> Tensor:
        """Transport (B, d) by one coordinate's values (B,)."""
        weights = self.bin_weights(index, s)
        spread = (weights[:, :, None] * x[:, None, :]).flatten(1)
        return spread @ self.maps[index].flatten(0, 1) + weights @ self.offsets[index]

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """(B, d) and (B, n) → (B, d), over every coordinate in turn."""
        for index in range(len(self.centres)):
            x = self.step(index, x, sigma[:, index])
        return x


class LatticeEncoder(FairEncoder):
    """Parts: first the rest r, last u itself, between them one z_S for each set S of attributes."""

    _own: Tensor
    _size: Tensor
    residual_weight: Tensor
    residual_bias: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        coordinates, (hidden, bins, quantiles) = sizes_of(sizes, coordinates=len(attributes), layers=3)
        owners = [name for name, count in zip(attributes, coordinates, strict=True) for _ in range(count)]
        n = self.n = len(owners)
        self.rest = dimensions - n
        expect("encoder.sizes.coordinates, sum below the dimensions", True, self.rest > 0)
        expect("encoder.sizes.layers, bins and quantiles at least 2", True, min(bins, quantiles) >= 2)
        expect("first part's rule", "always", parts[0].taken if parts else None)
        expect("last part's attributes", list(attributes), parts[-1].attributes)
        expect("the other parts' rules", {"none_protected"}, {part.taken for part in parts[1:]})

        sets = parts[1:-1]
        own = [[owner in part.attributes for owner in owners] for part in sets]
        self._constant("_own", torch.tensor(own, dtype=torch.bool).reshape(len(sets), n))
        self._constant("_size", torch.tensor([len(part.attributes) for part in sets], dtype=torch.int64))
        self.whiten = Affine(dimensions, dimensions)
        self.scores = Scores(dimensions, hidden, n, quantiles)
        self.transports = Transports(n, bins, dimensions)
        self.erase = Affine(dimensions, self.rest)
        self.register_buffer("residual_weight", torch.zeros(len(sets), n, n))
        self.register_buffer("residual_bias", torch.zeros(len(sets), n))
        self.mix = nn.Linear(self.rest + len(sets) * n + len(attributes) + n * self.rest, dimensions)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d); r fills the first d - n places of its row, each z_S the first n of its own."""
        w = self.whiten(u)
        sigma = self.scores(w)
        parts = u.new_zeros(len(u), self.part_count, u.shape[1])
        parts[:, 0, : self.rest] = self.erase(self.transports(w, sigma))
        parts[:, 1:-1, : self.n] = torch.einsum("bn,pnm->bpm", sigma, self.residual_weight) + self.residual_bias
        parts[:, -1] = u
        return parts

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Linear in the parts that the mask leaves; u itself where nothing is protected."""
        return torch.where(mask.any(1, keepdim=True), self.mix(self.features(parts, mask)), parts[:, -1])

    def features(self, parts: Tensor, mask: Tensor) -> Tensor:
        """The input of `mix`: r, the z_S taken, the mask, and r times each coordinate that is left."""
        taken = self.gate(mask)[:, 1:-1, None]
        rest = parts[:, 0, : self.rest]
        scores = parts[:, 1:-1, : self.n] * taken
        products = self._left(scores, taken)[:, :, None] * rest[:, None, :]
        return torch.cat([rest, scores.flatten(1), mask.to(rest.dtype), products.flatten(1)], dim=1)

    def _left(self, scores: Tensor, taken: Tensor) -> Tensor:
        """(B, n) each coordinate as the largest sets taken give it, their mean; 0 where none is taken."""
        if not len(self._size):
            return scores.new_zeros(len(scores), self.n)
        size = self._size[:, None] * (self._own & taken)
        largest = (size == size.amax(1, keepdim=True)) & (size > 0)
        return (scores * largest).sum(1) / largest.sum(1).clamp_min(1)
