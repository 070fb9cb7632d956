"""One update of SM; numbers are lines of docs/algorithms/sm.md."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bundle import FairEncoder
from training.fair.descend import Optimisers, adam, descend
from training.fair.sm.adversaries import Adversaries, protected_labels
from training.fair.sm.config import SmConfig
from training.fair.sm.users import FrozenUsers, TrainedUsers


@dataclass(frozen=True)
class SmNets:
    """The encoder that will be exported, the users it reads, and the discriminators that only training has."""

    encoder: FairEncoder
    users: FrozenUsers | TrainedUsers
    adversaries: Adversaries

    def modules(self) -> dict[str, nn.Module]:
        """By name, for checkpoints."""
        return {"encoder": self.encoder, "users": self.users, "adversaries": self.adversaries}


def optimisers(nets: SmNets, config: SmConfig) -> Optimisers:
    """Filters and, where they are trained too, the base's tables, against the discriminators."""
    rates = {"rate": config.learning_rate, "weight_decay": config.weight_decay}
    return Optimisers(adam(nets.encoder, nets.users, **rates), adam(nets.adversaries, **rates))


@dataclass(frozen=True)
class Batch:
    """The data of one step."""

    contexts: Tensor
    """(B,)."""
    labels: Tensor
    """(B, M), -1 where unknown or not to be learned from."""
    protect: Tensor
    """(B, M) bool, True = withhold."""
    positives: Tensor
    """(B, R) item rows."""
    negatives: Tensor
    """(B, R) item rows."""


def training_step(nets: SmNets, opts: Optimisers, batch: Batch, config: SmConfig, rng: torch.Generator) -> None:
    """Train on one batch; ``rng`` draws dropout and the rows that the discriminators see."""

    def some_rows() -> Tensor:
        return torch.randperm(len(labels), generator=rng, device=labels.device)[: config.adversary_rows]

    labels = protected_labels(batch.labels, batch.protect)  # 3: attributes that are not protected are ignored
    fair = nets.encoder.combine(nets.encoder.split(nets.users(batch.contexts)), batch.protect)  # 4
    if not fair.requires_grad:  # nothing is protected and the base is frozen: no filter has anything to learn
        return
    rank = nets.users.ranking_loss(fair, batch.positives, batch.negatives)  # 5
    rows = some_rows()
    leak = nets.adversaries(fair[rows], labels[rows], rng)  # 6
    descend(opts.model, rank - config.adversary_weight * leak)  # 7: filters and tables; the discriminators stay

    shown = fair.detach()  # 8: the vectors of line 4
    for _ in range(config.adversary_steps):  # 9
        rows = some_rows()
        if bool((labels[rows] >= 0).any()):
            descend(opts.adversary, nets.adversaries(shown[rows], labels[rows], rng))
