"""MultiFR: accuracy, even gains of user classes and two shares of exposure, as one direction that harms none of them.

Equations M1 to M6 of docs/algorithms/objectives.md. Source: Wu et al., TOIS 2022, as far as its abstract tells; what it
leaves open is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding, softplus

from training.base.objective.config import MultiFrConfig
from training.base.objective.contract import Batch, Objective
from training.base.objective.groups import Intersections
from training.base.objective.losses import by_group

SMALLEST = 1e-12
"""What is divided by is no smaller."""
STEPS = 30
"""Of the search for the shortest mixture of directions: there are four of them."""


class MultiFr(Objective):
    """Remembers nothing."""

    def __init__(self, groups: Intersections, config: MultiFrConfig) -> None:
        self._groups, self._config = groups, config

    def loss(self, batch: Batch) -> Tensor:
        """Linear in the touched rows, with the gradient of M6."""
        liked, other = batch.scores()
        terms = [softplus(other - liked).mean(), *self._fairness(batch)]  # M1
        tables = [batch.tables["users"], batch.tables["items"]]
        directions = []
        for term in terms:
            gradient = torch.autograd.grad(term, tables, retain_graph=True, allow_unused=True)
            filled = (torch.zeros_like(t) if g is None else g for t, g in zip(tables, gradient, strict=True))
            directions.append(torch.cat([each.flatten() for each in filled]))
        sizes = [term.detach().clamp(min=SMALLEST) for term in terms]
        relative = torch.stack([each / size for each, size in zip(directions, sizes, strict=True)])
        mixed = shortest(relative @ relative.T) @ relative  # M5
        mixed = mixed * directions[0].norm() / mixed.norm().clamp(min=SMALLEST)  # M6
        values = torch.cat([table.flatten() for table in tables])
        loss: Tensor = (values * mixed).sum()
        return loss

    def _fairness(self, batch: Batch) -> list[Tensor]:
        """M2 to M4, of some users of the batch and all items that it touches."""
        chosen = torch.randperm(len(batch.tables["users"]), generator=batch.rng, device=batch.users.device)
        chosen = chosen[: self._config.lists]
        place = torch.full((len(batch.tables["users"]),), -1, device=chosen.device)
        place[chosen] = torch.arange(len(chosen), device=chosen.device)
        scores = embedding(chosen, batch.tables["users"]) @ batch.tables["items"].T / self._config.temperature
        rows = place.gather(0, batch.own)
        inside = rows >= 0
        of_rows, positive = scores[rows[inside]], batch.liked[inside]
        ahead = torch.sigmoid(of_rows - of_rows.gather(1, positive[:, None])).sum(1) - 0.5  # itself is half ahead
        gains = 1 / torch.log2(2 + ahead)
        classes = self._groups.of_users.gather(0, batch.users[inside])
        count = len(self._groups.user_names)
        found = by_group(gains, torch.where(classes < 0, count, classes), count)
        there = found.mean[:-1][found.rows[:-1] > 0]
        uneven = there.var(correction=0) if len(there) > 1 else scores.sum() * 0  # M2
        groups, width = self._groups.of_items.gather(0, batch.rows["items"]), len(self._groups.item_names)
        one_hot = torch.nn.functional.one_hot(torch.where(groups < 0, width, groups), width + 1)[:, :-1].float()
        exposure = (torch.softmax(scores, 1) @ one_hot).mean(0)
        exposure = exposure / exposure.sum().clamp(min=SMALLEST)
        liked = one_hot[batch.liked].sum(0)
        return [
            uneven,
            (exposure - 1 / width).square().sum(),  # M3
            (exposure - liked / liked.sum().clamp(min=1)).square().sum(),  # M4
        ]


def shortest(products: Tensor) -> Tensor:
    """(K,) weights that add up to 1 and make Σ w g the shortest, from the (K, K) inner products of the g.

    Source: Désidéri, MGDA, 2012, by Frank and Wolfe's steps as in Sener and Koltun, NeurIPS 2018.
    """
    weights = torch.full_like(products[0], 1 / len(products))
    for _ in range(STEPS):
        slope = products @ weights
        best = int(slope.argmin())
        towards = -weights
        towards[best] += 1
        along, curve = towards @ slope, towards @ products @ towards
        if along >= 0 or curve <= 0:
            break
        weights = weights + towards * (-along / curve).clamp(max=1)
    return weights
