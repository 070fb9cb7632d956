"""Constants of both lattices that are computed, and the small network of scores that is trained.

Letters: B batch, d dimensions, n score coordinates, K bins, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


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
        return torch.addmm(self.bias, x, self.weight)


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


class MeanGivenScores(nn.Module):
    """x ↦ x − φ(σ) W, where φ(σ) is 1, every σ_i and every σ_i σ_j: takes away the mean of x given the scores."""

    weight: Tensor
    _first: Tensor
    _second: Tensor

    def __init__(self, n: int, dimensions: int) -> None:
        super().__init__()
        first, second = _pairs(n)
        self.register_buffer("_first", first, persistent=False)
        self.register_buffer("_second", second, persistent=False)
        self.register_buffer("weight", torch.zeros(1 + n + len(first), dimensions))

    def terms(self, sigma: Tensor) -> Tensor:
        """φ: (B, n) → (B, 1 + n + n(n + 1)/2)."""
        products = sigma[:, self._first] * sigma[:, self._second]
        return torch.cat([torch.ones_like(sigma[:, :1]), sigma, products], dim=1)

    def has_first(self, count: int) -> Tensor:
        """(1 + n + n(n + 1)/2,) which terms have one of the first ``count`` coordinates in them."""
        n = int(self._second[-1]) + 1
        return torch.cat([torch.zeros(1, dtype=torch.bool), torch.arange(n) < count, self._first < count])

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """(B, d) and (B, n) → (B, d)."""
        return x - self.terms(sigma) @ self.weight


class Independent(nn.Module):
    """Makes x independent of σ: less its mean given σ, transported over some coordinates, less its mean again."""

    def __init__(self, n: int, transported: Sequence[int], dimensions: int, bins: int, sweeps: int) -> None:
        super().__init__()
        self.transported = list(transported)
        """Places of the coordinates that covariances are moved by."""
        self._order = self.transported * sweeps
        self.mean = MeanGivenScores(n, dimensions)
        self.transports = Transports(len(self._order), bins, dimensions)
        self.mean_again = MeanGivenScores(n, dimensions)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """(B, d) and (B, n) → (B, d)."""
        moved = self.transports(self.mean(x, sigma), sigma[:, self._order])
        left: Tensor = self.mean_again(moved, sigma)
        return left


class Beside(nn.Module):
    """What the scores of some attributes say beside those of the others.

    For each attribute a, z of all others and e_a are together independent of σ_a. So z_a has to be independent of many
    scores at once, and for each of them together with other z: in turns, as transports go over coordinates.
    """

    def __init__(
        self, places: Sequence[range], leading: Sequence[int], bins: int, sweeps: int, *, all_but: bool
    ) -> None:
        """Build it.

        Args:
            places: of each attribute, where its coordinates are among all n.
            leading: of each attribute, how many of them covariances are moved by.
            bins: of a coordinate.
            sweeps: of the transports over coordinates, and of the turns over attributes.
            all_but: whether there are e.
        """
        super().__init__()
        self.places = list(places)
        n = places[-1].stop
        self.others = [[place for place in range(n) if place not in own] for own in places]
        pairs = list(zip(places, leading, strict=False))
        self.means = nn.ModuleList(MeanGivenScores(n - len(own), len(own)) for own in places)
        self.turns = nn.ModuleList(
            Independent(len(own), range(some), n - len(own), bins, sweeps) for _ in range(sweeps) for own, some in pairs
        )
        self.all_but = nn.ModuleList(
            Independent(n, range(some), n - len(own), bins, sweeps) for own, some in pairs if all_but
        )

    def turn(self, step: int) -> tuple[range, list[int]]:
        """The places of the attribute whose turn it is, and of all others."""
        return self.places[step % len(self.places)], self.others[step % len(self.places)]

    def forward(self, sigma: Tensor) -> Tensor:
        """(B, n) → (B, M or 2M, n): each z, then each e, with zeros in the places of other attributes."""
        z = torch.zeros_like(sigma)
        for own, others, mean in zip(self.places, self.others, self.means, strict=True):
            z[:, own] = mean(sigma[:, own], sigma[:, others])
        for step, independent in enumerate(self.turns):
            own, others = self.turn(step)
            z[:, others] = independent(z[:, others], sigma[:, own])
        parts = sigma.new_zeros(len(sigma), len(self.places) + len(self.all_but), sigma.shape[1])
        for place, own in enumerate(self.places):
            parts[:, place, own] = z[:, own]
        for step, independent in enumerate(self.all_but):
            own, others = self.turn(step)
            by = torch.cat([sigma[:, own], z[:, others]], 1)
            parts[:, len(self.places) + step, others] = independent(sigma[:, others], by)
        return parts


def _pairs(n: int) -> Tensor:
    """Rows and columns of an (n, n) matrix's upper triangle, row by row, (2, n(n + 1)/2).

    As `torch.triu_indices`, which takes milliseconds on the device "meta", where a bundle's sizes are checked.
    """
    return torch.ones(n, n).triu().nonzero_static(size=n * (n + 1) // 2).T.contiguous()
