"""The linear map back to user vectors, by least squares: the parts that a mask leaves → u at the mean length.

Where r is independent of the scores and the maps are affine, E[u | r] is linear, so least squares is the answer to
what u was; what ranks best is learned from there (choices.py). It cannot put back what the parts do not hold (data
processing); u is never fed again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bundle.networks import JointLatticeEncoder
from bundle.networks.lattice_layers import Affine

MASKS_PER_USER, ROWS_AT_MOST = 8, 200_000
"""Masks that each user has; fewer, but one, where users are very many."""
BLOCK = 4096


def draw_masks(count: int, attributes: int, rng: torch.Generator) -> Tensor:
    """(count, M) masks: every other one protects one attribute, the rest any, but at least one."""
    masks = torch.randint(2, (count, attributes), generator=rng, dtype=torch.bool)
    while not bool((chosen := masks.any(1)).all()):
        masks[~chosen] = torch.randint(2, (int((~chosen).sum()), attributes), generator=rng, dtype=torch.bool)
    alone = torch.randint(attributes, (len(masks[::2]),), generator=rng)
    masks[::2] = torch.nn.functional.one_hot(alone, attributes).bool()
    return masks


def fit_expected(encoder: JointLatticeEncoder, u: Tensor, ridge: float, rng: torch.Generator) -> None:
    """J8: the scores of what is not protected, from what random masks leave of them.

    Args:
        encoder: everything but `expected` and `mix` is fitted.
        u: (U, d) user vectors.
        ridge: penalty, in units of features with variance 1.
        rng: of masks.
    """
    owner = torch.repeat_interleave(torch.tensor([len(own) for own in encoder.beside.places]))

    def rows(block: Tensor, parts: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        sigma = encoder.scores(encoder.whiten(encoder.at_mean_length(block)))
        return encoder.left(parts, masks), sigma * ~masks[:, owner]

    _regress(encoder.expected, encoder, u, rows, ridge, rng)


def fit_mix(encoder: JointLatticeEncoder, u: Tensor, ridge: float, rng: torch.Generator) -> None:
    """J8: û from the features that random masks leave; arguments as in `fit_expected`, which comes first."""

    def rows(block: Tensor, parts: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        return encoder.features(parts, masks), encoder.at_mean_length(block)

    _regress(encoder.mix, encoder, u, rows, ridge, rng)


def _regress(
    affine: Affine,
    encoder: JointLatticeEncoder,
    u: Tensor,
    rows: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    ridge: float,
    rng: torch.Generator,
) -> None:
    """Ridge regression over up to `MASKS_PER_USER` masks for each user.

    Args:
        affine: takes the weights.
        encoder: splits users.
        u: (U, d).
        rows: (B, d) users, (B, P, d) their parts, (B, M) masks → what is regressed on, and what is.
        ridge: penalty, in units of features with variance 1.
        rng: of masks.
    """
    width, count = affine.weight.shape
    masks_each = min(MASKS_PER_USER, max(1, ROWS_AT_MOST // len(u)))
    gram, cross = torch.zeros(width + 1, width + 1, dtype=torch.double), torch.zeros(width + 1, count).double()
    for block in torch.split(u, BLOCK):
        parts = encoder.split(block)
        for _ in range(masks_each):
            x, wanted = rows(block, parts, draw_masks(len(block), encoder.attribute_count, rng))
            x = torch.nn.functional.pad(x, (0, 1), value=1.0).double()
            gram += x.T @ x
            cross += x.T @ wanted.double()
    total = gram[-1, -1]
    mean = gram[-1, :-1] / total
    spread = (gram.diagonal()[:-1] / total - mean**2).clamp_min(1e-12)
    centred = gram[:-1, :-1] - total * mean[:, None] * mean
    goal = cross[:-1] - mean[:, None] * cross[-1]
    weight = torch.linalg.solve(centred + torch.diag(ridge * spread), goal)
    affine.weight.copy_(weight)
    affine.bias.copy_(cross[-1] / total - mean @ weight)
