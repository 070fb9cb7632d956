"""J9: the map back to user vectors learns from what users chose next.

Least squares gives E[u | what a mask leaves], the best guess of u. But u is a guess too, made of a user's past, and a
list is judged by what comes after it. So the map moves from there to where it ranks each user's next choice, held back
by how far it goes. It stays linear in the same features, and attributes play no part in it: as many users, the same
numbers of each, nothing that the features did not tell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bundle.networks import JointLatticeEncoder
from measure.split import SELECT
from training.base.contract import Base
from training.data.split import Csr
from training.experiment import Experiment, evenly, rows_of
from training.fair.lattice.utility import draw_masks

STEPS, USERS, ITEMS, RATE = 100, 512, 4096, 0.01
"""Of Adam, whose rate falls to 0; users of a step, and items, drawn where there are more, to choose among."""
SPREAD = 1.5
"""Standard deviation of the logits of a user's items where the search for their scale begins."""
LEAST = 1e-4
"""Spread that a feature is taken to have at least, of the largest."""
ROUND_OFF = 1e-6
"""Spread, of a feature's own largest entry, up to which it is the same for all users."""


class Choices(NamedTuple):
    """What users were like before a choice, and what they chose. n users, I items, d dimensions that vary."""

    users: Tensor
    """(n, d)."""
    chosen: Tensor
    """(n,) item rows."""
    before: Csr
    """Of each user the items that are no alternative, besides the chosen one. In `strict` none of them is held out: to
    spare what a user is tested by would be to learn it."""
    items: Tensor
    """(I, d)."""
    biases: Tensor
    """(I,) what is added to every user's scores."""


def next_choices(experiment: Experiment, base: Base) -> Choices | None:
    """The validation positive of each user, after u from the training positives alone.

    Select users are left out, so that what they show of accuracy is measured on others than were learned from.

    Args:
        experiment: what was trained on.
        base: the frozen base.

    Returns:
        At most `STEPS` x `USERS` users, evenly spread; None where nobody's choice is known, or a reranker has the last
        word.
    """
    known = ~experiment.folded_in & (experiment.user_split != SELECT) & (experiment.validation >= 0)
    rows = evenly(np.flatnonzero(known), STEPS * USERS)
    if base.reranker is not None or not len(rows):
        return None
    varying = base.users.shape[1] - base.constants
    items = torch.from_numpy(base.items)
    return Choices(
        torch.from_numpy(base.selection[rows, :varying]),
        torch.from_numpy(experiment.validation[rows].astype(np.int64)),
        rows_of(rows, experiment.no_negatives),
        items[:, :varying],
        items[:, varying:].sum(1),
    )


def learn_choices(encoder: JointLatticeEncoder, choices: Choices, ridge: float, rng: torch.Generator) -> None:
    """Move `mix`: softmax cross-entropy of each choice among the items not met before, under random masks.

    Args:
        encoder: `mix` is fitted by least squares, and changed.
        choices: to learn from.
        ridge: penalty of the squared change, for features with variance 1, against one user's entropy.
        rng: of users, masks and items.
    """
    mix, users = encoder.mix, len(choices.users)
    start, scale = mix.weight.clone(), encoder.length / mix.weight.shape[1] ** 0.5
    first = _features(encoder, choices.users[: 8 * USERS], rng)
    spread = first.std(0, correction=0)
    varies = spread > ROUND_OFF * first.abs().amax(0)  # what all users share tells no user from another
    unit = torch.where(varies, scale / spread.clamp_min(LEAST * spread.max()), 0.0)
    some = slice(None, None, -(-len(choices.items) // ITEMS))
    scores = encoder.at_mean_length(mix(first[:USERS])) @ choices.items[some].T + choices.biases[some]
    change = torch.zeros_like(start, requires_grad=True)
    log_scale = torch.log(SPREAD / scores.std(1).mean().clamp_min(1e-12)).requires_grad_()
    adam = torch.optim.Adam([{"params": [change], "lr": RATE}, {"params": [log_scale], "lr": 5 * RATE}])
    falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        rows = torch.randint(users, (min(users, USERS),), generator=rng)
        x = _features(encoder, choices.users[rows], rng)
        with torch.enable_grad():
            u = encoder.at_mean_length(x @ (start + unit[:, None] * change) + mix.bias)
            loss = _entropy(u, choices, rows, log_scale.exp(), rng) + ridge / users * change.square().sum()
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        falling.step()
    mix.weight.copy_(start + unit[:, None] * change.detach())


def _features(encoder: JointLatticeEncoder, u: Tensor, rng: torch.Generator) -> Tensor:
    """What `mix` reads of (B, d) users under random masks."""
    return encoder.features(encoder.split(u), draw_masks(len(u), encoder.attribute_count, rng))


def _entropy(u: Tensor, choices: Choices, rows: Tensor, scale: Tensor, rng: torch.Generator) -> Tensor:
    """Mean cross-entropy of the choices of some users, whose fair vectors are ``u`` (B, d)."""
    count = len(choices.items)
    drawn = torch.arange(count) if count <= ITEMS else torch.randperm(count, generator=rng)[:ITEMS]
    place = torch.full((count,), -1)
    place[drawn] = torch.arange(len(drawn))
    chosen, everybody = choices.chosen[rows], torch.arange(len(rows))
    indptr, indices = rows_of(rows.numpy(), choices.before)
    owner = torch.cat([torch.repeat_interleave(everybody, torch.from_numpy(np.diff(indptr))), everybody])
    at = place[torch.cat([torch.from_numpy(indices).long(), chosen])]
    excluded = torch.zeros(len(rows), len(drawn), dtype=torch.bool)
    excluded[owner[at >= 0], at[at >= 0]] = True
    others = scale * (u @ choices.items[drawn].T + choices.biases[drawn])
    own = scale * ((u * choices.items[chosen]).sum(1) + choices.biases[chosen])
    logits = torch.cat([own[:, None], others.masked_fill(excluded, -torch.inf)], 1)
    return torch.nn.functional.cross_entropy(logits, torch.zeros(len(rows), dtype=torch.long))
