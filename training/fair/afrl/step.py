"""AFRL: split the user vector, align each part with its attribute, keep the attributes out of the shared part, combine.

Source: Zhu et al., SIGIR 2024; numbers in `training_step` are lines of docs/algorithms/afrl.md.

Letters: B batch, d dimensions, M attributes, R (positive, negative) pairs per row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim

from training.base.contract import RankingLoss
from training.fair.afrl.config import AfrlConfig
from training.fair.afrl.networks import FairNets
from training.fair.descend import adam, descend
from training.fair.heads import AttributeLoss
from training.fair.rows import Batch


@dataclass(frozen=True)
class Optimisers:
    """All Adam. F, the E_i and the C_i share one: their losses share no weight, and Adam works weight by weight."""

    split: optim.Adam
    adversary: optim.Adam
    aggregate: optim.Adam

    @classmethod
    def create(cls, nets: FairNets, config: AfrlConfig) -> Optimisers:
        """One optimiser for each group of networks that learns from one loss."""
        rate, decay = config.learning_rate, config.weight_decay
        split = adam(nets.encoder.parts, nets.classifiers, rate=rate, weight_decay=decay)
        adversary = adam(nets.adversaries, rate=config.adversary_learning_rate or rate, weight_decay=decay)
        return cls(split, adversary, adam(nets.encoder.aggregate, rate=rate, weight_decay=decay))

    def slow_to(self, factor: float) -> None:
        """Set every learning rate to ``factor`` times its initial value."""
        for optimiser in self.by_name().values():
            optimiser.param_groups[0]["lr"] = optimiser.defaults["lr"] * factor

    def by_name(self) -> dict[str, optim.Optimizer]:
        """For checkpoints."""
        return {"split": self.split, "adversary": self.adversary, "aggregate": self.aggregate}


Losses = dict[str, Tensor]
"""Scalar terms of one step by name, detached."""


def training_step(
    nets: FairNets, opts: Optimisers, batch: Batch, loss: AttributeLoss, ranking: RankingLoss, config: AfrlConfig
) -> Losses:
    """Train on one batch. Numbers are lines of docs/algorithms/afrl.md; an ablation leaves out lines 4 - 5 or 6 - 7."""
    parts = nets.encoder.split(batch.users)  # 3: shared part (B, d), attribute parts (B, M, d)
    shared, own = parts[:, 0], parts[:, nets.own]
    terms: Losses = {}

    if config.without != "attributes":
        terms["keep"] = loss(nets.classifiers.on_parts(own), batch.labels)  # 4: each part names its attribute
        terms["align"] = terms["keep"] + config.alignment_weight * own.norm(dim=-1).mean(0).sum()  # 5
    if config.without != "shared":
        terms["leak"] = loss(nets.adversaries.on_shared(shared), batch.labels)  # 6: the shared part must not
        terms["rebuild"] = nn.functional.mse_loss(shared, batch.users)
        terms["hide"] = terms["rebuild"] - config.adversary_weight * terms["leak"]  # 7
    learned = [terms[name] for name in ("align", "hide") if name in terms]
    descend(opts.split, torch.stack(learned).sum())  # 8: no weight of E, C is in `hide`, none of F in `align`

    if config.without != "shared":
        for _ in range(config.adversary_steps):  # 9: keep the adversary sharp
            descend(opts.adversary, loss(nets.adversaries.on_shared(shared.detach()), batch.labels))

    fair = nets.encoder.combine(parts.detach(), batch.protect)  # 10: gate and aggregate the parts of line 3
    terms["rank"] = ranking(fair, batch.positives, batch.negatives)
    descend(opts.aggregate, terms["rank"])  # 11
    return {name: value.detach() for name, value in terms.items()}
