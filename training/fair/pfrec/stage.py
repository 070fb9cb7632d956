"""PFRec by epochs; numbers are lines of docs/algorithms/pfrec.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, optim

from training.base.contract import RankingLoss
from training.checkpoint import State, pack, unpack
from training.experiment import Mode
from training.fair.descend import descend
from training.fair.heads import AttributeLoss
from training.fair.pfrec.config import PfrecConfig
from training.fair.pfrec.histories import Moments
from training.fair.pfrec.nets import Flags, PfrecNets
from training.negatives import NegativeSampler


class PfrecStage:
    """Trains the prompts of every mask on a frozen SASRec; a batch has one mask in either mode.

    Masks share no weight, so this is what a mask for each row would give, one mask after the other.
    """

    name = "fair"

    def __init__(
        self,
        nets: PfrecNets,
        config: PfrecConfig,
        mode: Mode,
        moments: Moments,
        items: NDArray[np.float32],
        labels: NDArray[np.int16],
        classes: Sequence[int],
        ranking: RankingLoss,
        negatives: NegativeSampler,
        validate: Callable[[], float],
        device: torch.device,
    ) -> None:
        self._nets, self._config, self._mode = nets.to(device), config, mode
        self._moments, self._items = moments, torch.from_numpy(items).to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._loss, self._ranking = AttributeLoss(self._labels, classes), ranking.requires_grad_(False)
        self._negatives, self._validate = negatives, validate
        trained = [w for each in nets.by_mask for w in each.prompted.parameters() if w.requires_grad]  # type: ignore[union-attr]
        attack = [w for each in nets.by_mask for w in each.adversaries.parameters()]  # type: ignore[union-attr]
        rate, decay = config.learning_rate, config.weight_decay
        self._model = optim.Adam(trained, lr=rate, weight_decay=decay, fused=True)
        self._adversary = optim.Adam(attack, lr=rate, weight_decay=decay, fused=True)

    def epoch(self, rng: torch.Generator) -> int:
        """One pass over this epoch's draw of moments."""
        count = 0
        for windows in self._moments.batches(self._mode, self._config.moments, self._config.batch, rng):
            rows, present, positives = self._moments.cut(windows)  # 1
            chosen = torch.randint(len(self._nets.masks), (1,), generator=rng, device=rng.device)
            self._step(self._nets.masks[int(chosen)], windows.users, rows, present, positives, rng)
            count += len(rows)
        return count

    def _step(
        self, mask: Flags, users: Tensor, rows: Tensor, present: Tensor, positives: Tensor, rng: torch.Generator
    ) -> None:
        nets, own = self._nets.of(mask), self._labels[users]
        labels = torch.where(torch.tensor(mask, device=own.device), own, -1)  # 2: the protected, known labels
        fair = nets.prompted(self._items[rows], present, own)  # 3
        negatives = self._negatives.draw(users[:, None], rng)
        rank = self._ranking(fair, positives[:, None], negatives)  # 4
        leak = self._loss(nets.adversaries.on_shared(fair), labels)  # 5
        descend(self._model, rank - self._config.adversary_weight * leak)  # 6: the discriminators stay
        for _ in range(self._config.adversary_steps):  # 7
            descend(self._adversary, self._loss(nets.adversaries.on_shared(fair.detach()), labels))

    def validate(self) -> float:
        """The number that the mode selects by."""
        return self._validate()

    def state(self) -> State:
        """Networks and optimisers."""
        return pack({"nets": self._nets}, {"model": self._model, "adversary": self._adversary})

    def restore(self, state: State) -> None:
        """Go on from ``state``."""
        unpack(state, {"nets": self._nets}, {"model": self._model, "adversary": self._adversary})
