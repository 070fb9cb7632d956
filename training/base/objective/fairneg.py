"""FairNeg: item groups whose positives rank low are drawn less as negatives; part of the negatives is hard instead.

Equations N1 to N3 of docs/algorithms/objectives.md. Source: Chen et al., WWW 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, softplus

from training.base.objective.config import FairNegConfig
from training.base.objective.contract import Batch, Objective
from training.base.objective.losses import by_group
from training.negatives import NegativeSampler

SMALLEST = 1e-3
"""No group's share of the negatives falls below."""
ATTEMPTS = 8
"""Times that an item the user has touched is drawn again, before any untouched item will do."""


class FairNeg(Objective):
    """State: the groups' shares of the negatives, and how they moved last."""

    def __init__(self, of_items: Tensor, groups: int, config: FairNegConfig) -> None:
        """Take (I,) the group of each item, -1 for none: such items are a group of their own, the last one."""
        self._config, self._count = config, groups + 1
        self._of_items = torch.where(of_items < 0, groups, of_items)
        order = torch.argsort(self._of_items, stable=True)
        self._sizes = torch.bincount(self._of_items, minlength=self._count)
        self._first, self._order = self._sizes.cumsum(0) - self._sizes, order
        self.begin()

    def begin(self) -> None:
        """Shares by size: uniform negatives."""
        self._shares = self._sizes / self._sizes.sum()
        self._velocity = torch.zeros(self._count, device=self._of_items.device)
        self._sums, self._rows = (torch.zeros(self._count, device=self._of_items.device) for _ in range(2))

    def negatives(self, sampler: NegativeSampler, users: Tensor, model: nn.Module, rng: torch.Generator) -> Tensor:
        """N1 and N2, by the toss of a coin for each."""
        hard = torch.rand(users.shape, generator=rng, device=users.device) < self._config.hard
        drawn = torch.empty_like(users)
        drawn[~hard] = self._by_group(sampler, users[~hard], rng)
        drawn[hard] = self._by_score(sampler, users[hard], model, rng)
        return drawn

    def loss(self, batch: Batch) -> Tensor:
        """BPR; on the way the loss of positives is added up by group."""
        liked, other = batch.scores()
        of_positives = softplus(-liked.detach())
        found = by_group(of_positives, self._of_items.gather(0, batch.positives), self._count)
        self._sums += (found.mean * found.rows)[:-1]
        self._rows += found.rows[:-1]
        return softplus(other - liked).mean()

    def epoch_ends(self) -> None:
        """N3: a group whose positives lose more than the mean is drawn less, for its size, than before."""
        there = self._rows > 0
        means = self._sums / self._rows.clamp(min=1)
        gap = torch.where(there, means - means[there].mean(), 0.0)
        self._velocity = self._config.momentum * self._velocity + self._config.rate * gap
        shares = torch.where(self._sizes > 0, (self._shares - self._velocity).clamp(min=SMALLEST), 0.0)
        self._shares = shares / shares.sum()
        self._sums.zero_()
        self._rows.zero_()

    def tensors(self) -> dict[str, Tensor]:
        """Between epochs."""
        return {"shares": self._shares, "velocity": self._velocity}

    def _by_group(self, sampler: NegativeSampler, users: Tensor, rng: torch.Generator) -> Tensor:
        """A group by its share, then any of its items that the user has not touched."""
        items = self._any_of_group(len(users), rng)
        for _ in range(ATTEMPTS):
            touched = sampler.touched(users, items)
            if not touched.any():
                return items
            items[touched] = self._any_of_group(int(touched.sum()), rng)
        touched = sampler.touched(users, items)
        items[touched] = sampler.draw(users[touched], rng)
        return items

    def _any_of_group(self, count: int, rng: torch.Generator) -> Tensor:
        groups = torch.multinomial(self._shares, max(count, 1), replacement=True, generator=rng)[:count]
        place = torch.rand(count, generator=rng, device=groups.device) * self._sizes[groups]
        return self._order[self._first[groups] + place.long().clamp(max=self._sizes[groups] - 1)]

    def _by_score(self, sampler: NegativeSampler, users: Tensor, model: nn.Module, rng: torch.Generator) -> Tensor:
        """One of a few uniform draws, by the softmax of their scores."""
        several = users[:, None].expand(-1, self._config.candidates)
        items = sampler.draw(several.contiguous(), rng)
        if not len(users):
            return items[:, 0]
        tables = (model.get_parameter(name).detach() for name in ("users", "items"))
        u, v = (embedding(rows, table) for rows, table in zip((users, items), tables, strict=True))
        chances = torch.softmax((u[:, None] * v).sum(-1), 1)
        chosen = torch.multinomial(chances, 1, generator=rng)
        return items.gather(1, chosen)[:, 0]
