"""The input of the filters: a frozen base's vectors, or the tables of a PMF that are trained too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from measure.split import SELECT
from training.base.contract import Base, Contexts, RankingLoss, softplus_loss
from training.base.foldin import fit_fold_in
from training.experiment import Experiment


class FrozenUsers(nn.Module):
    """The vectors of a base's contexts, without anything that trains."""

    def __init__(self, base: Base, device: torch.device) -> None:
        super().__init__()
        self._base, self._vectors = base, torch.from_numpy(base.contexts.vectors).to(device)
        self._ranking = [RankingLoss(base, device).requires_grad_(False)]  # in a list: none of its state is ours

    def forward(self, contexts: Tensor) -> Tensor:
        """(B,) context rows → (B, d)."""
        return self._vectors[contexts]

    def ranking_loss(self, fair: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """BPR through the base, of (B, d) vectors for (B, R) positive and negative item rows."""
        return self._ranking[0](fair, positive, negative)  # type: ignore[no-any-return]

    def base(self) -> Base:
        """The base as it was."""
        return self._base

    def exported(self, experiment: Experiment) -> Base:
        """The base as it was."""
        return self._base


class TrainedUsers(nn.Module):
    """User and item tables that start where the base stopped; a context of such a base is a user."""

    def __init__(self, base: Base, device: torch.device) -> None:
        super().__init__()
        self._base = base
        self.users = nn.Parameter(torch.tensor(base.users, device=device))
        self.items = nn.Parameter(torch.tensor(base.items, device=device))

    def forward(self, contexts: Tensor) -> Tensor:
        """(B,) user rows → (B, d)."""
        return embedding(contexts, self.users)

    def ranking_loss(self, fair: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """BPR, of (B, d) vectors for (B, R) positive and negative item rows."""
        difference = embedding(positive, self.items) - embedding(negative, self.items)
        return softplus_loss((fair[:, None] * difference).sum(-1))

    def base(self) -> Base:
        """The base with the tables as they are now."""
        users, items = self.users.detach().cpu().numpy().copy(), self.items.detach().cpu().numpy().copy()
        contexts = self._base.contexts
        moved = Contexts(users, contexts.users, contexts.indptr, contexts.indices)
        return replace(self._base, users=users, selection=users, items=items, contexts=moved)

    def exported(self, experiment: Experiment) -> Base:
        """The same with a fold-in fitted to the new tables, and users that took no part folded in by it."""
        base = self.base()
        select = np.flatnonzero(experiment.user_split == SELECT)
        history = fit_fold_in(base.users, base.items, *experiment.train, select)
        new = np.flatnonzero(experiment.folded_in).tolist()
        base.users[new] = history.user_vectors([experiment.held_out.history(row) for row in new], base.items)
        return replace(base, history=history)


def users_of(base: Base, device: torch.device) -> FrozenUsers | TrainedUsers:
    """Tables that train along where the base is one of tables (PMF), else the base frozen."""
    return TrainedUsers(base, device) if base.model == "pmf" else FrozenUsers(base, device)
