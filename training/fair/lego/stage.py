"""LEGO by epochs, in both modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder
from training.base.contract import Contexts, RankingLoss
from training.checkpoint import State, pack, unpack
from training.experiment import Mode
from training.fair.lego.config import LegoConfig
from training.fair.lego.step import LegoNets, Optimisers, training_step
from training.fair.rows import Batch, ContextRows, draw_masks
from training.negatives import NegativeSampler


class LegoStage:
    """Trains LEGO. The mode defines a row, and the number of masks in a batch (docs/algorithms/lego.md)."""

    name = "fair"

    def __init__(
        self,
        nets: LegoNets,
        config: LegoConfig,
        mode: Mode,
        contexts: Contexts,
        labels: NDArray[np.int16],
        ranking: RankingLoss,
        negatives: NegativeSampler,
        validate: Callable[[FairEncoder], float],
        device: torch.device,
    ) -> None:
        for module in nets.modules().values():
            module.to(device)
        self._nets, self._opts, self._config, self._mode = nets, Optimisers.create(nets, config), config, mode
        self._rows, self._labels = ContextRows(contexts, device), torch.from_numpy(labels).to(device)
        self._vectors = torch.from_numpy(contexts.vectors).to(device)
        self._ranking, self._negatives, self._validate = ranking, negatives, validate

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the rows of this mode."""
        count = 0
        for contexts, positives in self._rows.epoch(self._mode, self._config.batch, self._config.pairs, rng):
            users = self._rows.users[contexts]
            protect = draw_masks(self._mode, len(users), self._labels.shape[1], rng)
            negatives = self._negatives.draw(users[:, None].expand_as(positives), rng)
            batch = Batch(self._vectors[contexts], self._labels[users], protect, positives, negatives)
            training_step(self._nets, self._opts, batch, self._ranking, self._config, rng)
            count += len(users)
        return count

    def validate(self) -> float:
        """The number that the mode selects by."""
        return self._validate(self._nets.encoder)

    def state(self) -> State:
        """Networks and optimisers."""
        return pack(self._nets.modules(), self._opts.by_name())

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, self._nets.modules(), self._opts.by_name())
