"""SM by epochs, in both modes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from training.base.contract import Contexts
from training.checkpoint import State, pack, unpack
from training.experiment import Mode
from training.fair.rows import ContextRows, draw_masks
from training.fair.sm.config import SmConfig
from training.fair.sm.step import Batch, SmNets, optimisers, training_step
from training.negatives import NegativeSampler


class SmStage:
    """Trains SM. The mode defines a row, and the number of masks in a batch (docs/algorithms/sm.md)."""

    name = "fair"

    def __init__(
        self,
        nets: SmNets,
        config: SmConfig,
        mode: Mode,
        contexts: Contexts,
        labels: NDArray[np.int16],
        negatives: NegativeSampler,
        validate: Callable[[SmNets], float],
        device: torch.device,
    ) -> None:
        for module in nets.modules().values():
            module.to(device)
        self._nets, self._opts, self._config, self._mode = nets, optimisers(nets, config), config, mode
        self._rows, self._labels = ContextRows(contexts, device), torch.from_numpy(labels).to(device)
        self._negatives, self._validate = negatives, validate

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the rows of this mode."""
        self._nets.encoder.train()
        masks: Mode = "strict" if self._config.row_masks else self._mode
        count = 0
        for contexts, positives in self._rows.epoch(self._mode, self._config.batch, self._config.pairs, rng):
            users = self._rows.users[contexts]
            protect = draw_masks(masks, len(users), self._labels.shape[1], rng)
            negatives = self._negatives.draw(users[:, None].expand_as(positives), rng)
            batch = Batch(contexts, self._labels[users], protect, positives, negatives)
            training_step(self._nets, self._opts, batch, self._config, rng)
            count += len(users)
        return count

    def validate(self) -> float:
        """The number that the mode selects by."""
        self._nets.encoder.eval()
        return self._validate(self._nets)

    def state(self) -> State:
        """Networks, tables and optimisers."""
        return pack(self._nets.modules(), self._opts.by_name())

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, self._nets.modules(), self._opts.by_name())
