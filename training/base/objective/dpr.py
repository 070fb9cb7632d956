"""DPR-REO: an adversary tells an item's group by the score that its positive got, and the tables mislead it.

Equations P1 to P3 of docs/algorithms/objectives.md. Source: Zhu et al., SIGIR 2020 (equal opportunity: positives only).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, softplus

from training.base.objective.config import DprConfig
from training.base.objective.contract import Batch, Objective

SHOWN = 128
"""Items of a batch whose scores stand for a user's scores."""
VARIANCE = 1e-6
"""Least variance of a user's scores: its logarithm is taken."""


class Dpr(Objective):
    """State: the adversary and its optimiser."""

    def __init__(self, of_items: Tensor, groups: int, config: DprConfig, seed: int) -> None:
        """Take (I,) the group of each item, -1 for none."""
        self._of_items, self._groups, self._config, self._seed = of_items, groups, config, seed
        self.begin()

    def begin(self) -> None:
        """A fresh adversary."""
        hidden, rng = self._config.hidden, torch.Generator().manual_seed(self._seed)
        layers = [nn.Linear(1, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, self._groups)]
        with torch.no_grad():
            for layer in layers:
                nn.init.xavier_uniform_(layer.weight, generator=rng)
                layer.bias.zero_()
        self._adversary = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).to(self._of_items.device)
        self._optimiser = torch.optim.Adam(self._adversary.parameters(), self._config.adversary_rate)

    def loss(self, batch: Batch) -> Tensor:
        """P3, after a step of the adversary."""
        liked, other = batch.scores()
        groups = self._of_items.gather(0, batch.positives)
        told = groups >= 0
        loss = softplus(other - liked).mean() + self._config.normal_weight * unlike_normal(batch)  # P2
        if not told.any():
            return loss
        self._optimiser.zero_grad()
        self._found(liked.detach()[told], groups[told]).backward()  # type: ignore[no-untyped-call]  # P1
        self._optimiser.step()
        self._adversary.requires_grad_(False)
        loss = loss - self._config.adversary_weight * self._found(liked[told], groups[told])
        self._adversary.requires_grad_(True)
        return loss

    def _found(self, scores: Tensor, groups: Tensor) -> Tensor:
        """Cross-entropy of the adversary."""
        return cross_entropy(self._adversary(scores[:, None]), groups)

    def state_dict(self) -> dict[str, Any]:
        """The adversary first, then the moments of each of its weights."""
        moments = self._optimiser.state_dict()["state"]
        slots = {0: dict(self._adversary.state_dict())} | {place + 1: of for place, of in moments.items()}
        return {"state": slots, "param_groups": []}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The reverse; without a state, begin anew."""
        self.begin()
        slots = dict(state_dict["state"])
        if not slots:
            return
        self._adversary.load_state_dict(slots.pop(0))
        moments = {place - 1: of for place, of in slots.items()}
        self._optimiser.load_state_dict(
            {"state": moments, "param_groups": self._optimiser.state_dict()["param_groups"]}
        )


def unlike_normal(batch: Batch) -> Tensor:
    """Mean over the batch's users of KL(N(mean, variance) of the user's scores ‖ N(0, 1))."""
    items = batch.tables["items"]
    shown = torch.randperm(len(items), generator=batch.rng, device=items.device)[:SHOWN]
    scores = batch.tables["users"] @ embedding(shown, items).T
    variance, mean = torch.var_mean(scores, dim=1, correction=0)
    variance = variance + VARIANCE
    return ((variance + mean**2 - variance.log() - 1) / 2).mean()
