"""Trains `mix`, the only trained part: for utility alone, on the parts that the closed form has left.

Whatever is learned from the gated parts cannot put back what they do not hold (data processing); u is never fed again.
`mix` stays linear on purpose: a multi-layer combine leaked .63 - .67 for gender (docs/results/strict-methods.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.networks import LatticeEncoder
from training.fair.lattice.config import LatticeConfig

STARTS_PER_USER, STARTS_AT_MOST = 4, 100_000
"""Masks that each user has in the linear start; fewer, but one, where users are very many."""
MOST_STEPS = 400
"""Where users are very many: fewer epochs then."""


def draw_masks(count: int, attributes: int, rng: torch.Generator) -> Tensor:
    """(count, M) masks, each protecting at least one attribute, otherwise uniform."""
    masks = torch.randint(2, (count, attributes), generator=rng, dtype=torch.bool)
    while not bool((chosen := masks.any(1)).all()):
        masks[~chosen] = torch.randint(2, (int((~chosen).sum()), attributes), generator=rng, dtype=torch.bool)
    return masks


def fit_utility(
    encoder: LatticeEncoder, u: Tensor, items: Tensor, biases: Tensor, config: LatticeConfig, rng: torch.Generator
) -> None:
    """L8: start at the least squares map to u, then bring the fair ranking near the base's.

    Args:
        encoder: everything but `mix` is fitted.
        u: (U, d) user vectors.
        items: (I, d) item vectors.
        biases: (I,) b; the loss is KL(softmax(u·V + b) ‖ softmax(u*·V + b)) over the items compared.
        config: epochs, batch, learning rate, ridge, items compared.
        rng: of masks, batches and items.
    """
    attributes = encoder.attribute_count
    with torch.no_grad():
        parts = encoder.split(u)
        users = torch.arange(len(u)).repeat(min(STARTS_PER_USER, max(1, STARTS_AT_MOST // len(u))))
        x = encoder.features(parts[users], draw_masks(len(users), attributes, rng))
        x = torch.cat([x, torch.ones(len(x), 1)], dim=1).double()
        gram = x.T @ x + config.ridge * torch.eye(x.shape[1], dtype=torch.double)
        start = torch.linalg.solve(gram, x.T @ u[users].double()).float()
        encoder.mix.weight.copy_(start[:-1].T)
        encoder.mix.bias.copy_(start[-1])

    batches = -(-len(u) // config.batch)
    epochs = min(config.epochs, -(-MOST_STEPS // batches))
    adam = torch.optim.AdamW(encoder.mix.parameters(), lr=config.learning_rate, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, config.learning_rate, total_steps=epochs * batches, pct_start=0.1
    )
    for _ in range(epochs):
        for users in torch.randperm(len(u), generator=rng).tensor_split(batches):
            fair = encoder.combine(parts[users], draw_masks(len(users), attributes, rng))
            some = _compared(len(items), config.items_compared, rng)
            v, b = items[some], biases[some]
            wanted = torch.softmax(u[users] @ v.T + b, -1)
            loss = -(wanted * torch.log_softmax(fair @ v.T + b, -1)).sum(1).mean()
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            schedule.step()


def _compared(items: int, most: int, rng: torch.Generator) -> Tensor | slice:
    """Item rows of one step: all, or so many of them, drawn with repetition so that no work grows with the rest."""
    return slice(None) if items <= most else torch.randint(items, (most,), generator=rng)
