"""Trains AFRL by epochs, in both modes: its rows, and the mask of each.

reproduce   contexts as often as they have positives, one mask for the whole batch, labels of all users
strict      every user once, a mask for each row, labels of train users only
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.networks import AfrlEncoder
from training import parallel, scalars
from training.base.contract import Contexts, RankingLoss
from training.checkpoint import State, pack, unpack
from training.experiment import Mode
from training.fair.afrl.config import AfrlConfig
from training.fair.afrl.networks import FairNets
from training.fair.afrl.step import Optimisers, training_step
from training.fair.heads import AttributeLoss
from training.fair.rows import Batch, ContextRows, draw_masks
from training.negatives import NegativeSampler


class AfrlStage:
    """Trains AFRL on a frozen base."""

    name = "fair"

    def __init__(
        self,
        nets: FairNets,
        config: AfrlConfig,
        mode: Mode,
        contexts: Contexts,
        labels: NDArray[np.int16],
        classes: Sequence[int],
        ranking: RankingLoss,
        negatives: NegativeSampler,
        validate: Callable[[AfrlEncoder], float],
        device: torch.device,
    ) -> None:
        for module in nets.modules().values():
            module.to(device)
        self._config, self._mode, self._device = config, mode, device
        self._rows = ContextRows(contexts, device)
        self._vectors = torch.from_numpy(contexts.vectors).to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._loss, self._ranking = AttributeLoss(self._labels, classes), ranking
        self._nets, self._opts = nets, Optimisers.create(nets, config)
        self._average = copy.deepcopy(nets.encoder) if config.average else nets.encoder
        self._negatives, self._validate = negatives, validate
        self._steps = 0

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the rows of this mode; gives the (positive, negative) pairs learned from."""
        config, pairs = self._config, 0
        total: dict[str, Tensor] = {}
        steps = -(-self._count() // config.batch)
        for step, (contexts, positives) in enumerate(self._draw(rng), self._steps + 1):
            self._opts.slow_to(config.rate(step / (steps * config.schedule.epochs)))
            batch = self._batch(contexts, positives, rng)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
                terms = training_step(self._nets, self._opts, batch, self._loss, self._ranking, config)
            self._follow(step)
            total = {name: value + total.get(name, 0) for name, value in terms.items()}
            pairs += positives.numel()
        self._steps += steps
        for name, value in total.items():
            scalars.record(f"loss/{name}", float(value) / steps)
        return pairs

    def _count(self) -> int:
        """Contexts in one epoch."""
        return (
            self._rows.rows_of_each_user()
            if self._mode == "strict"
            else self._rows.rows_by_activity(self._config.pairs)
        )

    def _draw(self, rng: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Context rows (B,) and their positives (B, R) by batch."""
        batch, pairs = self._config.batch, self._config.pairs
        if self._mode == "strict":
            return self._rows.each_user(batch, pairs, rng)
        return self._rows.interactions(batch, rng) if pairs == 1 else self._rows.by_activity(batch, pairs, rng)

    def _batch(self, contexts: Tensor, positives: Tensor, rng: torch.Generator) -> Batch:
        """This process's share of a batch; every process makes all draws, so that they stay in step."""
        users = self._rows.users[contexts]
        negatives = self._negatives.draw(users[:, None].expand_as(positives), rng)
        masks: Mode = "strict" if self._config.row_masks else self._mode
        protect = draw_masks(masks, len(contexts), self._labels.shape[1], rng)
        vectors, labels = self._vectors[contexts], self._labels[users]
        return Batch(*(parallel.share(rows) for rows in (vectors, labels, protect, positives, negatives)))

    def _follow(self, step: int) -> None:
        """Move the average towards the encoder; faster in the first steps, so that it forgets the initial weights."""
        if self._average is not self._nets.encoder:
            decay = min(self._config.average, step / (step + 10))
            with torch.no_grad():
                pairs = zip(self._average.parameters(), self._nets.encoder.parameters(), strict=True)
                for average, weight in pairs:
                    average.lerp_(weight, 1 - decay)

    @property
    def encoder(self) -> AfrlEncoder:
        """The encoder that is validated and exported."""
        return self._average

    def validate(self) -> float:
        """The number that the mode selects by."""
        return self._validate(self._average)

    def state(self) -> State:
        """Networks and optimisers."""
        return pack(self._modules(), self._opts.by_name()) | {"steps": torch.tensor(self._steps)}

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, self._modules(), self._opts.by_name())
        self._steps = int(state["steps"])

    def _modules(self) -> dict[str, torch.nn.Module]:
        return self._nets.modules() | ({"average": self._average} if self._config.average else {})
