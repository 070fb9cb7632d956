"""The linear map back to user vectors, by least squares: the parts that a mask leaves → u at the mean length.

Where r is independent of the scores and the maps are affine, E[u | r] is linear, so least squares is the answer;
training the map further for the ranking gained nothing (docs/results/strict-methods.md). It cannot put back what the
parts do not hold (data processing); u is never fed again.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.networks import JointLatticeEncoder

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


def fit_told(encoder: JointLatticeEncoder, u: Tensor, ridge: float, rng: torch.Generator) -> None:
    """J8: ridge regression of the scores left on the z that random masks leave."""
    def rows(parts, masks, block):
        keep = (~masks)[:, encoder._owner].double()
        return encoder.left(parts, masks).double(), encoder.scores(encoder.whiten(encoder.at_mean_length(block))).double() * keep
    _regress(encoder.told, encoder, u, ridge, rng, rows)


def fit_mix(encoder: JointLatticeEncoder, u: Tensor, ridge: float, rng: torch.Generator) -> None:
    """J8: ridge regression of û on what random masks leave."""
    def rows(parts, masks, block):
        return encoder.features(parts, masks).double(), encoder.at_mean_length(block).double()
    _regress(encoder.mix, encoder, u, ridge, rng, rows)


def _regress(affine, encoder, u, ridge, rng, rows) -> None:
    width, out = affine.weight.shape
    masks_each = min(MASKS_PER_USER, max(1, ROWS_AT_MOST // len(u)))
    gram, cross = torch.zeros(width + 1, width + 1, dtype=torch.double), torch.zeros(width + 1, out).double()
    for block in torch.split(u, BLOCK):
        parts = encoder.split(block)
        for _ in range(masks_each):
            masks = draw_masks(len(block), encoder.attribute_count, rng)
            x, wanted = rows(parts, masks, block)
            x = torch.nn.functional.pad(x, (0, 1), value=1.0)
            gram += x.T @ x
            cross += x.T @ wanted
    count = gram[-1, -1]
    mean = gram[-1, :-1] / count
    spread = (gram.diagonal()[:-1] / count - mean**2).clamp_min(1e-12)
    centred = gram[:-1, :-1] - count * mean[:, None] * mean
    goal = cross[:-1] - mean[:, None] * cross[-1]
    weight = torch.linalg.solve(centred + torch.diag(ridge * spread), goal)
    affine.weight.copy_(weight)
    affine.bias.copy_(cross[-1] / count - mean @ weight)
