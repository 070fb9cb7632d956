"""In-UCDS: users with few interactions are pulled towards the active users who are most like them.

Equations U1 to U3 of docs/algorithms/objectives.md. Source: Han et al., MM 2023; constrained dominant sets: Zemene and
Pelillo, ECCV 2016.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import embedding, softplus

from training.base.objective.config import InUcdsConfig
from training.base.objective.contract import Batch, Objective
from training.data.split import Csr
from training.experiment import Experiment

STEPS = 100
"""Of the replicator dynamics."""
ABOVE = 1.001
"""α, relative to the largest eigenvalue that it must be above."""
MOST_ACTIVE = 2_000
"""Active users, at most: each is compared with each other one."""
_BLOCK_USERS = 4_096


class InUcds(Objective):
    """Remembers nothing: who is whose neighbour is known before the first step."""

    def __init__(self, experiment: Experiment, config: InUcdsConfig, device: torch.device) -> None:
        rows = neighbours(experiment.train, len(experiment.dataset.items), config.active, config.neighbours)
        self._neighbours = torch.from_numpy(rows).to(device)
        self._weight = config.weight

    def loss(self, batch: Batch) -> Tensor:
        """U3: BPR, and for the users of the batch the squared distance to their neighbours, who do not move for it."""
        liked, other = batch.scores()
        near = self._neighbours.index_select(0, batch.rows["users"])
        there = near >= 0
        towards = embedding(near.clamp(min=0), batch.model.get_parameter("users").detach())
        apart = (batch.tables["users"][:, None] - towards).square().sum(-1)
        return softplus(other - liked).mean() + self._weight * (apart * there).sum()


def neighbours(train: Csr, items: int, share: float, count: int) -> NDArray[np.int64]:
    """The active users that each other user is pulled to.

    Args:
        train: training positives; nothing else is looked at.
        items: I.
        share: of the users, those with most positives, who are active.
        count: neighbours of a user, at most.

    Returns:
        (U, count) user rows, -1 in places left over: active users have no neighbours, and nobody has one without a
        common item.
    """
    indptr, indices = train
    users = len(indptr) - 1
    positives = csr_matrix((np.ones(len(indices), np.float32), indices, indptr), (users, items))
    many = min(MOST_ACTIVE, max(1, round(share * users)))
    active = np.argsort(-np.diff(indptr), kind="stable")[:many]
    found = np.full((users, count), -1, np.int64)
    between = (positives[active] @ positives[active].T).toarray()  # U1
    np.fill_diagonal(between, 0)
    others = np.setdiff1d(np.arange(users), active)
    for start in range(0, len(others), _BLOCK_USERS):
        rows = others[start : start + _BLOCK_USERS]
        own = (positives[rows] @ positives[active].T).toarray()
        weights = np.where(own > 0, dominant_sets(own, between), 0)
        best = np.argsort(-weights, axis=1, kind="stable")[:, :count]
        there = np.take_along_axis(weights, best, axis=1) > 0
        found[rows, : best.shape[1]] = np.where(there, active[best], -1)
    return found


def dominant_sets(own: NDArray[np.float32], between: NDArray[np.float32]) -> NDArray[np.float32]:
    """U2 for each of n users with the same m active ones.

    Args:
        own: (n, m) likeness of user and active user.
        between: (m, m) of active users among each other, 0 on the diagonal.

    Returns:
        (n, m) weights of the active users, from 0 up; with the user's own they add up to 1.
    """
    alpha = np.float32(ABOVE * max(float(np.linalg.eigvalsh(between.astype(np.float64))[-1]), 1e-6))
    x = np.full(own.shape, 1 / (own.shape[1] + 1), np.float32)
    user = np.full((len(own), 1), 1 / (own.shape[1] + 1), np.float32)
    for _ in range(STEPS):
        # α is added to every payoff: none is negative then, and on the simplex all sums move alike.
        payoff = x @ between + own * user - alpha * x + alpha
        of_user = (own * x).sum(1, keepdims=True) + alpha
        x, user = x * payoff, user * of_user
        whole = x.sum(1, keepdims=True) + user
        x, user = x / whole, user / whole
    return x
