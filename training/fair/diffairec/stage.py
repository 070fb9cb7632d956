"""Trains the conditioned denoiser; D3 - D5 of docs/algorithms/diffairec.md.

Letters: U users, I items, C classes, B batch, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import embedding

from bundle import Diffairec, Diffrec
from training.base.autoencoder.diffrec import noised
from training.base.autoencoder.model import begin, partly_hidden
from training.base.autoencoder.stage import Rows
from training.checkpoint import State, pack, unpack
from training.fair.diffairec.config import DiffairecConfig

FROM_DIFFREC = ("table", "bias", "times", "variances")


class ConditionedModel(nn.Module):
    """A denoiser whose first layer begins where DiffRec's ended, and whose decoder is DiffRec's, as it is."""

    tastes: Tensor
    """(C, I) of D1."""
    items: Tensor
    """(I, d)."""

    def __init__(
        self,
        network: Diffairec,
        denoiser: Diffrec,
        items: NDArray[np.float32],
        tastes: NDArray[np.float32],
        config: DiffairecConfig,
        seed: int,
    ) -> None:
        """Begin.

        Args:
            network: without values, but for what a history says of its user's class (D2).
            denoiser: DiffRec's.
            items: (I, d) its decoder.
            tastes: (C, I) of D1.
            config: sizes.
            seed: of the first values of what is new.
        """
        super().__init__()
        self.network, self._dropout = network, config.dropout
        self.condition = nn.Linear(tastes.shape[1], config.condition_hidden)
        begin(self, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            for name in FROM_DIFFREC:
                getattr(network, name).copy_(getattr(denoiser, name))
        self.register_buffer("tastes", torch.from_numpy(tastes), persistent=False)
        self.register_buffer("items", torch.from_numpy(items), persistent=False)
        self.settle()

    def loss(self, x: Tensor, weights: Tensor, rng: torch.Generator) -> Tensor:
        """D4: squared error of (B, I) rows under (B, C) weights of the classes, mean over rows."""
        noisy, step = noised(x, self.network.variances, rng)
        read = partly_hidden(noisy, self._dropout, rng) @ self.network.table
        times = embedding(step, self.network.times)
        u = self.network.denoised(read, times, self.network.asked(weights, self.condition(self.tastes)))
        return (u @ self.items.T - x).square().sum(1).mean()

    @torch.no_grad()
    def settle(self) -> None:
        """Bring what the network keeps of condition and decoder up to date: before it is asked, or exported."""
        self.network.conditions.copy_(self.condition(self.tastes))
        self.network.settle(self.items, None)


class DiffairecStage:
    """Trains it by epochs: every user's row once, in random order, under the user's condition."""

    name = "fair"

    def __init__(
        self,
        model: ConditionedModel,
        config: DiffairecConfig,
        rows: Rows,
        weights: Tensor,
        validate: Callable[[], float],
    ) -> None:
        """Take the data.

        Args:
            model: to train.
            config: steps.
            rows: training positives.
            weights: (U, C) of the classes for each user (D3).
            validate: the number that selects an epoch.
        """
        self.model, self._batch, self._rows = model, config.batch, rows
        self._weights, self._validate = weights, validate
        self._adam = torch.optim.Adam(
            model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the users that have positives."""
        users = self._rows.users
        order = users[torch.randperm(len(users), generator=rng, device=users.device)]
        for some in torch.split(order, self._batch):
            loss = self.model.loss(self._rows.of(some), self._weights[some], rng)
            self._adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._adam.step()
        return len(users)

    def validate(self) -> float:
        """N@10 of validation positives."""
        self.model.settle()
        return self._validate()

    def state(self) -> State:
        """Weights and optimiser."""
        return pack({"model": self.model}, {"adam": self._adam})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"model": self.model}, {"adam": self._adam})
