"""One update, and training by epochs; numbers are lines of docs/algorithms/fmmrec.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.base.contract import Contexts
from training.checkpoint import State, pack, unpack
from training.experiment import Mode
from training.fair.descend import Optimisers, adam, descend
from training.fair.filters.config import FairgoConfig, FiltersConfig
from training.fair.filters.discriminators import Discriminators
from training.fair.filters.towers import Towers
from training.fair.rows import ContextRows, draw_masks
from training.fair.sm.adversaries import protected_labels
from training.negatives import NegativeSampler


@dataclass(frozen=True)
class FilterNets:
    """What is filtered, and the discriminators that only training has."""

    towers: Towers
    of_users: Discriminators
    of_items: Discriminators

    def modules(self) -> dict[str, nn.Module]:
        """By name, for checkpoints."""
        return {"encoder": self.towers.encoder, "of_users": self.of_users, "of_items": self.of_items}


class FilterStage:
    """Trains filters against discriminators."""

    name = "fair"

    def __init__(
        self,
        nets: FilterNets,
        config: FiltersConfig,
        mode: Mode,
        contexts: Contexts,
        labels: NDArray[np.int16],
        negatives: NegativeSampler,
        validate: Callable[[], float],
        device: torch.device,
        protect: Tensor | None,
    ) -> None:
        """Take everything that a step needs.

        Args:
            nets: filters and discriminators.
            config: prices and step size.
            mode: what a row is.
            contexts: user vectors to filter, with their positives.
            labels: (U, M) that may be learned from.
            negatives: of users.
            validate: scores the filters as they are.
            device: where it trains.
            protect: (M,) the one mask; None for every mask, drawn anew.
        """
        rates = {"rate": config.learning_rate, "weight_decay": config.weight_decay}
        self._opts = Optimisers(adam(nets.towers.encoder, **rates), adam(nets.of_users, nets.of_items, **rates))
        self._nets, self._config, self._mode, self._protect = nets, config, mode, protect
        self._item_weight = config.item_weight if isinstance(config, FairgoConfig) else 0.0
        self._rows, self._labels = ContextRows(contexts, device), torch.from_numpy(labels).to(device)
        self._vectors = torch.from_numpy(contexts.vectors).to(device)
        self._negatives, self._validate = negatives, validate

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over the rows of this mode."""
        count = 0
        for contexts, positives in self._rows.epoch(self._mode, self._config.batch, self._config.pairs, rng):
            users = self._rows.users[contexts]
            masks = self._masks(len(users), rng)
            negatives = self._negatives.draw(users[:, None].expand_as(positives), rng)
            self._step(contexts, users, masks, positives, negatives, rng)
            count += len(users)
        return count

    def _masks(self, rows: int, rng: torch.Generator) -> Tensor:
        if self._protect is not None:
            return self._protect.expand(rows, -1)
        return draw_masks(self._mode, rows, self._labels.shape[1], rng)

    def _step(
        self, contexts: Tensor, users: Tensor, masks: Tensor, positives: Tensor, negatives: Tensor, rng: torch.Generator
    ) -> None:
        nets, config = self._nets, self._config
        labels = protected_labels(self._labels[users], masks)  # 1
        encoder = nets.towers.encoder
        fair = encoder.combine(encoder.split(self._vectors[contexts]), masks)  # 2
        if not fair.requires_grad:  # nothing is protected: no filter has anything to learn
            return
        liked = nets.towers.of_items(users)  # 3
        rank = nets.towers.ranking_loss(fair, positives, negatives)  # 4
        leak = config.user_weight * nets.of_users(fair, labels, rng)  # 5
        if liked is not None:
            leak = leak + self._item_weight * nets.of_items(liked, labels, rng)
        descend(self._opts.model, rank - leak)  # 6

        if not bool((labels >= 0).any()):
            return
        shown, known = fair.detach(), None if liked is None else liked.detach()  # 7: the vectors of lines 2 and 3
        for _ in range(config.adversary_steps):
            told = nets.of_users(shown, labels, rng)
            if known is not None:
                told = told + nets.of_items(known, labels, rng)
            descend(self._opts.adversary, told)

    def validate(self) -> float:
        """The number that the mode selects by."""
        return self._validate()

    def state(self) -> State:
        """Networks and optimisers."""
        return pack(self._nets.modules(), self._opts.by_name())

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, self._nets.modules(), self._opts.by_name())
