"""AFRL by epochs, in both modes: what a row is, and what mask it is trained under.

reproduce   a row is an interaction, one mask for the whole batch, labels of all users (methods of the reference)
strict      a row is a user, a mask for each row, labels of train users only
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.networks import AfrlEncoder
from training.base.contract import Contexts, RankingLoss
from training.checkpoint import State, pack, unpack
from training.fair.afrl.step import AfrlConfig, Batch, FairNets, Optimisers, training_step
from training.fair.heads import AttributeLoss
from training.negatives import NegativeSampler

Rows = tuple[Tensor, Tensor, Tensor]
"""Context rows (B,), positive items (B, R), masks (B, M)."""


class AfrlStage:
    """Trains AFRL on a frozen base."""

    name = "fair"

    def __init__(
        self,
        nets: FairNets,
        config: AfrlConfig,
        contexts: Contexts,
        labels: NDArray[np.int16],
        classes: Sequence[int],
        ranking: RankingLoss,
        negatives: NegativeSampler,
        rows: Callable[[AfrlStage, torch.Generator], Iterator[Rows]],
        validate: Callable[[AfrlEncoder], float],
        device: torch.device,
    ) -> None:
        for module in nets.modules().values():
            module.to(device)
        self.config = config
        self.attributes = len(classes)
        self.users = torch.from_numpy(contexts.users).to(device)
        self.indptr = torch.from_numpy(contexts.indptr).to(device)
        self.indices = torch.from_numpy(contexts.indices.astype(np.int64)).to(device)
        self._vectors = torch.from_numpy(contexts.vectors).to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._loss, self._ranking = AttributeLoss(self._labels, classes), ranking
        self._nets, self._opts = nets, Optimisers.create(nets, config)
        self._negatives, self._rows, self._validate = negatives, rows, validate

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the rows of this mode."""
        count = 0
        for contexts, positives, protect in self._rows(self, rng):
            users = self.users[contexts]
            negatives = self._negatives.draw(users[:, None].expand_as(positives), rng)
            batch = Batch(self._vectors[contexts], self._labels[users], protect, positives, negatives)
            training_step(self._nets, self._opts, batch, self._loss, self._ranking, self.config)
            count += len(users)
        return count

    def validate(self) -> float:
        """Whatever the mode selects by."""
        return self._validate(self._nets.encoder)

    def state(self) -> State:
        """Networks and optimisers."""
        return pack(self._nets.modules(), self._opts.by_name())

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, self._nets.modules(), self._opts.by_name())


def interaction_rows(stage: AfrlStage, rng: torch.Generator) -> Iterator[Rows]:
    """`reproduce`: every training positive once, one mask a batch, uniform over all 2^M."""
    device = stage.users.device
    owners = torch.repeat_interleave(torch.arange(len(stage.indptr) - 1, device=device), stage.indptr.diff())
    order = torch.randperm(len(owners), generator=rng, device=device)
    for rows in torch.split(order, stage.config.batch):
        mask = torch.randint(2, (1, stage.attributes), generator=rng, device=device, dtype=torch.bool)
        yield owners[rows], stage.indices[rows][:, None], mask.expand(len(rows), -1)


def user_rows(stage: AfrlStage, rng: torch.Generator) -> Iterator[Rows]:
    """`strict`: every user with a training positive once, several of their positives, a mask for each row."""
    device = stage.users.device
    counts = stage.indptr.diff()
    eligible = torch.nonzero(counts)[:, 0]
    order = eligible[torch.randperm(len(eligible), generator=rng, device=device)]
    for users in torch.split(order, stage.config.batch):
        draws = torch.rand((len(users), stage.config.pairs), generator=rng, device=device)
        offsets = (draws * counts[users, None]).long().clamp_(max=counts[users, None] - 1)
        masks = torch.randint(2, (len(users), stage.attributes), generator=rng, device=device, dtype=torch.bool)
        yield users, stage.indices[stage.indptr[users, None] + offsets], masks
