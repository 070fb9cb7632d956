"""FFVAE by epochs: user vectors alone, no items."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from bundle.networks import FfvaeEncoder
from training.base.contract import Contexts
from training.checkpoint import State, pack, unpack
from training.experiment import Mode
from training.fair.ffvae.config import FfvaeConfig
from training.fair.ffvae.step import FfvaeNets, optimisers, training_step
from training.fair.rows import ContextRows


class FfvaeStage:
    """Trains FFVAE; an epoch visits every context once in `reproduce`, one of each user in `strict`."""

    name = "fair"

    def __init__(
        self,
        nets: FfvaeNets,
        config: FfvaeConfig,
        mode: Mode,
        contexts: Contexts,
        labels: NDArray[np.int16],
        validate: Callable[[FfvaeEncoder], float],
        device: torch.device,
    ) -> None:
        for module in nets.modules().values():
            module.to(device)
        self._nets, self._opts, self._config, self._mode = nets, optimisers(nets, config), config, mode
        self._rows, self._labels = ContextRows(contexts, device), torch.from_numpy(labels).to(device)
        self._vectors, self._validate = torch.from_numpy(contexts.vectors).to(device), validate

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the user vectors of this mode."""
        count = 0
        for contexts in self._rows.contexts(self._mode, self._config.batch, rng):
            u, labels = self._vectors[contexts], self._labels[self._rows.users[contexts]]
            training_step(self._nets, self._opts, u, labels, self._config, rng)
            count += len(u)
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
