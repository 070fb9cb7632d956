"""The joint lattice with a dither: a small pseudo-random shift of each user's fair vector, another one for each mask.

    u*  = (the joint lattice's u* + a sin(Σ_{i protected} r W_i)) at the mean length

What masks give away together lies in the small differences between their vectors (docs/algorithms/lattice.md, J10). The
dither is as large as these and tells nothing; being a function of u and the mask, it is the same whenever they are.

Letters: B batch, d dimensions, P parts, M attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import expect
from bundle.networks.joint_lattice import JointLatticeEncoder


class DitheredLatticeEncoder(JointLatticeEncoder):
    """The same parts, of two attributes or more; the dither of the mask is added."""

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts, dimensions, sizes)
        expect("attributes of a dithered lattice, at least two", True, len(attributes) > 1)
        self.dither = Dither(dimensions, len(attributes))

    def protected(self, parts: Tensor, mask: Tensor) -> Tensor:
        """As the joint lattice, and the dither."""
        return self.at_mean_length(super().protected(parts, mask) + self.dither(parts[:, 0], mask))


class Dither(nn.Module):
    """Waves over r so short that two users' phases have nothing to do with each other."""

    weight: Tensor
    amplitude: Tensor

    def __init__(self, dimensions: int, attributes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(dimensions, attributes * dimensions))
        self.register_buffer("amplitude", torch.zeros(1))

    def forward(self, rest: Tensor, mask: Tensor) -> Tensor:
        """R (B, d) and masks (B, M) → (B, d)."""
        phases = (rest @ self.weight).view(rest.shape[0], mask.shape[1], -1)
        return self.amplitude * torch.sin((mask[:, :, None] * phases).sum(1))
