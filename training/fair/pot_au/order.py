"""U4: the order that a user's best items had, and what it costs to change it."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from measure.ranking import top_items
from training.base.contract import Base
from training.experiment import Experiment, evenly

SAMPLED_USERS, SAMPLED_ITEMS = 500, 200
"""Of whom, and of which items, the standard deviation of scores is taken."""


class OrderKept(nn.Module):
    """Σ_n max(0, (ŷ(i_{n+1}) − ŷ(i_n)) / σ + margin) over a user's best items i_1 … i_N by the original vector.

    σ is the standard deviation of a user's scores over items, so that a margin means the same for any base.
    """

    lists: Tensor
    items: Tensor

    def __init__(self, experiment: Experiment, base: Base, count: int, margin: float) -> None:
        """Rank for every user the items that are none of their training positives.

        Args:
            experiment: whose training positives are left out.
            base: its original vectors and its own scores.
            count: N; fewer where a user has fewer items left.
            margin: in σ.
        """
        super().__init__()
        lists = top_items(base.users, base.scorer, min(count, len(base.items)), experiment.train)
        self.register_buffer("lists", torch.from_numpy(lists))
        self.register_buffer("items", torch.from_numpy(base.items))
        self._margin, self._deviation = margin, deviation(base)
        self._reranker = copy.deepcopy(base.reranker).requires_grad_(False) if base.reranker else None

    def forward(self, u: Tensor, users: Tensor) -> Tensor:
        """(B, d) vectors of (B,) user rows → the mean over users."""
        listed = self.lists[users].long()
        rows = listed.clamp_min(0)
        if self._reranker is None:
            scores = (embedding(rows, self.items) @ u[..., None])[..., 0]
        else:
            scores = self._reranker(u, rows)
        behind = ((scores[:, 1:] - scores[:, :-1]) / self._deviation + self._margin).relu()
        return (behind * (listed[:, 1:] >= 0)).sum(1).mean()


def deviation(base: Base) -> float:
    """Standard deviation of a user's scores over items, mean over some users; 1 where all score alike."""
    users, items = (
        evenly(np.arange(len(rows)), most) for rows, most in ((base.users, SAMPLED_USERS), (base.items, SAMPLED_ITEMS))
    )
    scores = base.scorer.scores(base.users[users], np.tile(items, (len(users), 1)))
    return float(scores.std(axis=1).mean()) or 1.0
