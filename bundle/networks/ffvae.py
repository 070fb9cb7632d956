"""FFVAE's networks (docs/algorithms/ffvae.md): an autoencoder of user vectors with a block for each attribute.

Serving is deterministic: the parts are the means of the latent blocks.

Source: Creager et al., ICML 2019, with x = u.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of


class FfvaeEncoder(FairEncoder):
    """Parts: the mean of z, then of each b_i, in the first places of their rows; combine decodes those not withheld."""

    centre: Tensor
    spread: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        expect("parts of a ffvae encoder", ffvae_parts(attributes), list(parts))
        latents, encode, decode = sizes_of(sizes, latents=1 + len(attributes), encode=2, decode=2)
        total = sum(latents)
        expect("encoder.sizes.latents, one for each part", len(parts), len(latents))
        expect("encoder.sizes.latents, at most the dimensions", True, max(latents) <= dimensions)
        expect("encoder.sizes.encode, first and last", [dimensions, 2 * total], [encode[0], encode[-1]])
        expect("encoder.sizes.decode, first and last", [total, dimensions], [decode[0], decode[-1]])
        self.latents, self.dimensions = list(latents), dimensions
        self.register_buffer("centre", torch.zeros(dimensions))
        self.register_buffer("spread", torch.ones(dimensions))
        self.encode, self.decode = _mlp(encode), _mlp(decode)

    def standard(self, u: Tensor) -> Tensor:
        """(B, d) user vectors → x, of mean 0 and deviation 1 in every dimension over the users trained on."""
        return (u - self.centre) / self.spread

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z, b | x): means and log variances, each (B, n), z first, then each b_i."""
        mean, log_variance = self.encode(x).chunk(2, dim=1)
        return mean, log_variance

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1 + M, d): means of z and of each b_i, zeros after them."""
        mean, _ = self.posterior(self.standard(u))
        blocks = torch.split(mean, self.latents, dim=1)
        return torch.stack([nn.functional.pad(block, (0, self.dimensions - block.shape[1])) for block in blocks], 1)

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Decode the latents, withheld blocks zeroed."""
        open_parts = torch.where(self.gate(mask)[..., None], parts, 0)
        latents = torch.cat([open_parts[:, row, :count] for row, count in enumerate(self.latents)], dim=1)
        return self.decode(latents) * self.spread + self.centre  # type: ignore[no-any-return]


def ffvae_parts(attributes: Sequence[str]) -> list[Part]:
    """Z in every mask, each attribute's block unless it is protected."""
    shared = Part(name="shared", attributes=[], taken="always")
    return [shared, *(Part(name=name, attributes=[name], taken="none_protected") for name in attributes)]


def _mlp(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n, m in pairwise(widths):
        layers += [nn.Linear(n, m), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
