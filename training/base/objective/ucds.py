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

RELEASED_STEPS, RELEASED_ALPHA, RELEASED_START = 5, 1.1e-3, 1e-6
"""The public code's steps, its α, and what it begins with at everybody but the user."""
MOST_ACTIVE = 2_000
"""Active users, at most: each is compared with each other one."""
_BLOCK_USERS = 4_096


class InUcds(Objective):
    """Remembers nothing: who is whose neighbour is known before the first step."""

    def __init__(self, experiment: Experiment, config: InUcdsConfig, device: torch.device) -> None:
        released = config.sets == "released"
        looked_at = experiment.positives if released and experiment.mode == "reproduce" else experiment.train
        items = len(experiment.dataset.items)
        above = None if released else config.constraint
        rows = neighbours(looked_at, items, config.active, config.neighbours, above)
        self._neighbours = torch.from_numpy(rows).to(device)
        self._weight = config.weight
        if config.pairs == "all":
            self.also_users = torch.from_numpy(np.flatnonzero((rows >= 0).any(axis=1))).to(device)

    def loss(self, batch: Batch) -> Tensor:
        """U3: BPR, and for users of the batch, or all, the squared distance to neighbours, who do not move for it."""
        liked, other = batch.scores()
        near = self._neighbours.index_select(0, batch.rows["users"])
        there = near >= 0
        towards = embedding(near.clamp(min=0), batch.model.get_parameter("users").detach())
        apart = (batch.tables["users"][:, None] - towards).square().sum(-1)
        return softplus(other - liked).mean() + self._weight * (apart * there).sum()


def neighbours(positives: Csr, items: int, share: float, count: int, above: float | None) -> NDArray[np.int64]:
    """The active users that each other user is pulled to.

    Args:
        positives: that users are compared by; nothing else is looked at.
        items: I.
        share: of the users, those with most positives, who are active.
        count: neighbours of a user, at most.
        above: as of `dominant_sets`; None for `released_sets`.

    Returns:
        (U, count) user rows, -1 in places left over: active users have no neighbours, and nobody has one without a
        common item, but for `released_sets`.
    """
    indptr, indices = positives
    users = len(indptr) - 1
    of_users = csr_matrix((np.ones(len(indices), np.float32), indices, indptr), (users, items))
    many = min(MOST_ACTIVE, max(1, round(share * users)))
    active = np.argsort(-np.diff(indptr), kind="stable")[:many]
    found = np.full((users, count), -1, np.int64)
    between = (of_users[active] @ of_users[active].T).toarray()  # U1
    np.fill_diagonal(between, 0)
    others = np.setdiff1d(np.arange(users), active)
    for start in range(0, len(others), _BLOCK_USERS):
        rows = others[start : start + _BLOCK_USERS]
        own = (of_users[rows] @ of_users[active].T).toarray()
        weights: NDArray[np.floating]
        if above is None:
            weights = released_sets(own, between)
        else:
            weights = np.where(own > 0, dominant_sets(own, between, above), 0)
        best = np.argsort(-weights, axis=1, kind="stable")[:, :count]
        there = np.take_along_axis(weights, best, axis=1) > 0
        found[rows, : best.shape[1]] = np.where(there, active[best], -1)
    return found


def dominant_sets(own: NDArray[np.float32], between: NDArray[np.float32], above: float) -> NDArray[np.float64]:
    """U2 for each of n users with the same m active ones, solved where all of these have a weight.

    There every payoff is the same one: (α I − A_V) z = s − (s · z) 1 for z = x_V / x_u and the user's likeness s. Of
    MovieLens's weights one in a thousand or fewer would be negative; these are 0 here, and the others stay.

    Args:
        own: (n, m) likeness of user and active user.
        between: (m, m) of active users among each other, 0 on the diagonal.
        above: α, relative to the largest eigenvalue of ``between``, which it must be above.

    Returns:
        (n, m) weights of the active users, from 0 up; with the user's own they add up to 1.
    """
    likeness = between.astype(np.float64)
    alpha = above * max(float(np.linalg.eigvalsh(likeness)[-1]), 1e-6)
    inverse = np.linalg.inv(alpha * np.eye(len(likeness)) - likeness)
    s, of_one = own.astype(np.float64), inverse.sum(0)
    alone = s @ inverse
    payoff = (alone * s).sum(1) / (1 + s @ of_one)
    z = np.maximum(alone - payoff[:, None] * of_one, 0)
    weights: NDArray[np.float64] = z / (1 + z.sum(1, keepdims=True))
    return weights


def released_sets(own: NDArray[np.float32], between: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the paper's public code computes in place of U2; arguments as the first two of `dominant_sets`.

    Likeness is divided by the largest one; α comes of a trace, which is 0, and never is above its smallest value; the
    dynamics begin at the user and are brought to length 1, not to a sum of 1, five times.

    Returns:
        (n, m) weights of the active users; all 0 for somebody who is like nobody.
    """
    largest = np.maximum(own.max(axis=1, keepdims=True), between.max(initial=0))
    scale = np.where(largest > 0, largest, 1).astype(np.float32)
    x = np.full(own.shape, RELEASED_START, np.float32)
    user = np.ones((len(own), 1), np.float32)
    for _ in range(RELEASED_STEPS):
        payoff = (x @ between + own * user) / scale - np.float32(RELEASED_ALPHA) * x
        of_user = (own * x).sum(1, keepdims=True) / scale
        x, user = x * payoff, user * of_user
        length = np.sqrt(np.square(x).sum(1, keepdims=True) + np.square(user)).clip(np.finfo(np.float32).tiny)
        x, user = x / length, user / length
    return x * own.any(axis=1, keepdims=True)
