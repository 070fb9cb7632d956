"""One update of FFVAE; numbers are lines of docs/algorithms/ffvae.md.

Letters: B batch, d dimensions, M attributes, n latent numbers in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from bundle.networks import FfvaeEncoder
from training.fair.descend import Optimisers, adam, descend
from training.fair.ffvae.config import FfvaeConfig
from training.fair.heads import known_entropy


class BlockClassifiers(nn.Module):
    """p(a_i | b_i): for each attribute a linear map from its block to its classes."""

    def __init__(self, block: int, classes: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(block, count) for count in classes)

    def forward(self, blocks: Sequence[Tensor], labels: Tensor) -> Tensor:
        """Σ over attributes of the mean cross-entropy of M × (B, block) against (B, M) labels, -1 taking no part."""
        return known_entropy(lambda index: self.heads[index](blocks[index]), labels)


@dataclass(frozen=True)
class FfvaeNets:
    """The encoder that will be exported, and the networks that only training has."""

    encoder: FfvaeEncoder
    classifiers: BlockClassifiers
    ratio: nn.Sequential
    """(B, n) → (B, 1): log of how much likelier latents are together than put together from different users."""

    @classmethod
    def create(cls, encoder: FfvaeEncoder, classes: Sequence[int], config: FfvaeConfig, seed: int) -> FfvaeNets:
        """Fresh networks; the same seed gives the same weights."""
        h, n, block = config.hidden, sum(encoder.latents), encoder.latents[-1]
        layers: list[nn.Module] = []
        for width, after in pairwise([n, h, h, 1]):
            layers += [nn.Linear(width, after), nn.LeakyReLU(0.2)]
        nets = cls(encoder, BlockClassifiers(block, classes), nn.Sequential(*layers[:-1]))
        rng = torch.Generator().manual_seed(seed)
        for module in nets.modules().values():
            for parameter in module.parameters():
                with torch.no_grad():
                    if parameter.dim() > 1:
                        parameter.normal_(0, parameter.shape[1] ** -0.5, generator=rng)
                    else:
                        parameter.zero_()
        return nets

    def modules(self) -> dict[str, nn.Module]:
        """By name, for checkpoints."""
        return {"encoder": self.encoder, "classifiers": self.classifiers, "ratio": self.ratio}


def optimisers(nets: FfvaeNets, config: FfvaeConfig) -> Optimisers:
    """Autoencoder and classifiers, against the density ratio."""
    rates = {"rate": config.learning_rate, "weight_decay": config.weight_decay}
    return Optimisers(adam(nets.encoder, nets.classifiers, **rates), adam(nets.ratio, **rates), ("model", "density"))


def training_step(
    nets: FfvaeNets, opts: Optimisers, u: Tensor, labels: Tensor, config: FfvaeConfig, rng: torch.Generator
) -> None:
    """Train on (B, d) user vectors with (B, M) labels, -1 where unknown or not to be learned from."""
    encoder = nets.encoder
    x = encoder.standard(u)  # 2
    mean, log_variance = encoder.posterior(x)  # 3
    noise = torch.randn(mean.shape, generator=rng, device=rng.device)
    latents = mean + noise * torch.exp(log_variance / 2)  # 4: the reparametrised sample
    blocks = torch.split(latents, encoder.latents, dim=1)

    rebuild = (x - encoder.decode(latents)).square().sum(1).mean() / (2 * config.noise)  # 5: -log p(x | z, b)
    prior = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()  # 6: KL(q ‖ N(0, 1))
    name = nets.classifiers(blocks[1:], labels)  # 7: -Σ log p(a_i | b_i)
    together = nets.ratio(latents).mean()  # 8: total correlation, by the density ratio
    loss = rebuild + prior + config.attribute_weight * name + config.correlation_weight * together
    descend(opts.model, loss)  # 9: the density ratio stays

    latents = latents.detach()
    apart = shuffled(torch.split(latents, encoder.latents, dim=1), rng)  # 10
    entropy = nn.functional.softplus
    descend(opts.adversary, entropy(-nets.ratio(latents)).mean() + entropy(nets.ratio(apart)).mean())  # 11


def shuffled(blocks: Sequence[Tensor], rng: torch.Generator) -> Tensor:
    """M + 1 blocks (B, n_i), each in an order of its own over the batch, side by side: (B, n)."""
    count, device = len(blocks[0]), blocks[0].device
    return torch.cat([block[torch.randperm(count, generator=rng, device=device)] for block in blocks], dim=1)
