"""What FairGAN's networks are trained by: a critic's loss, exposure by rank, and its Gini coefficient.

Letters: B batch, I items.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def critic_loss(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weight: float, rng: torch.Generator
) -> Tensor:
    """What a critic makes small (W2): made ones above real ones, and slopes between both unlike 1.

    Args:
        critic: (B, I) → (B, 1), larger for what it takes for real.
        real: (B, I).
        fake: (B, I), without gradient.
        weight: λ, of the slopes.
        rng: of the places between, one for each row.

    Source:
        Gulrajani et al., *Improved Training of Wasserstein GANs*, NeurIPS 2017, eq. 3.
    """
    share = torch.rand(len(real), 1, generator=rng, device=real.device)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    uneven = ((slope.square().sum(1) + 1e-12).sqrt() - 1).square().mean()
    loss: Tensor = critic(fake).mean() - critic(real).mean() + weight * uneven
    return loss


def exposures(scores: Tensor) -> Tensor:
    """The exposure of every item in the ranking of each row (W4): (B, I) → (B, I), mean 1 over a row.

    It is 1 / log2(1 + rank), rank from 1, over its mean. No gradient comes through it.
    """
    items = scores.shape[1]
    by_rank = 1 / torch.arange(2, items + 2, device=scores.device).log2()
    order = scores.detach().argsort(dim=1, descending=True, stable=True)
    exposure = torch.empty_like(order, dtype=by_rank.dtype)
    return exposure.scatter_(1, order, (by_rank / by_rank.mean()).expand(len(scores), -1))


def gini(exposure: Tensor) -> Tensor:
    """Gini coefficient of (I,) exposures (W5), with a gradient; as `measure.fairness.catalogue.gini`."""
    count = len(exposure)
    weights = torch.arange(1 - count, count, 2, device=exposure.device)
    result: Tensor = weights.to(exposure) @ exposure.sort().values / (count * exposure.sum())
    return result
