"""One update of LEGO; numbers are lines of docs/algorithms/lego.md.

Letters: B batch, d dimensions, M attributes, R (positive, negative) pairs per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn, optim

from bundle.networks import CalibratedEncoder
from bundle.networks.calibrated import Calibrator
from training.base.contract import RankingLoss
from training.fair.descend import adam, descend
from training.fair.heads import Heads, known_entropy
from training.fair.lego.config import LegoConfig
from training.fair.rows import Batch


@dataclass(frozen=True)
class LegoNets:
    """The encoder that will be exported, and the estimators q(a_i | x) that only training has."""

    encoder: CalibratedEncoder
    alone: Heads
    """Estimator i reads the vector calibrated for attribute i."""
    together: Heads
    """All read the combined vector."""

    @classmethod
    def create(cls, encoder: CalibratedEncoder, dimensions: int, classes: Sequence[int], seed: int) -> LegoNets:
        """Fresh networks; corrections start at zero, so that every vector starts as it is."""
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for calibrator in encoder.calibrators:
                assert isinstance(calibrator, Calibrator)  # noqa: S101  as it was made
                calibrator.inner.weight.normal_(0, (2 / dimensions) ** 0.5, generator=rng)
                for still in (calibrator.inner.bias, calibrator.outer.weight, calibrator.outer.bias):
                    still.zero_()
        return cls(encoder, Heads(dimensions, classes, rng), Heads(dimensions, classes, rng))

    def modules(self) -> dict[str, nn.Module]:
        """By name, for checkpoints."""
        return {"encoder": self.encoder, "alone": self.alone, "together": self.together}


@dataclass(frozen=True)
class Optimisers:
    """All Adam: of the calibrators, of the weights that combine, of the estimators."""

    calibrate: optim.Adam
    combine: optim.Adam
    estimate: optim.Adam

    @classmethod
    def create(cls, nets: LegoNets, config: LegoConfig) -> Optimisers:
        """One optimiser for each group that learns from one loss."""
        rate, decay = config.learning_rate, config.weight_decay
        weights = optim.Adam([nets.encoder.weights], lr=rate, weight_decay=decay, fused=True)
        calibrate = adam(nets.encoder.calibrators, rate=rate, weight_decay=decay)
        return cls(calibrate, weights, adam(nets.alone, nets.together, rate=rate, weight_decay=decay))

    def by_name(self) -> dict[str, optim.Optimizer]:
        """For checkpoints."""
        return {"calibrate": self.calibrate, "combine": self.combine, "estimate": self.estimate}


def training_step(
    nets: LegoNets, opts: Optimisers, batch: Batch, ranking: RankingLoss, config: LegoConfig, rng: torch.Generator
) -> None:
    """Train on one batch; ``rng`` pairs vectors with other users' labels and draws attributes."""
    encoder, labels = nets.encoder, batch.labels
    parts = encoder.split(batch.users)  # 3
    alone = parts[:, :1] + parts[:, 1:]  # 4: (B, M, d), each attribute withheld alone
    drawn = torch.randint(labels.shape[1], (len(labels),), generator=rng, device=labels.device)
    one_each = alone[torch.arange(len(alone), device=alone.device), drawn]
    rank = ranking(one_each, batch.positives, batch.negatives)
    told = information(nets.alone.on_parts(encoder.standard(alone)), labels, rng)
    descend(opts.calibrate, rank + config.information_weight * told)  # 5

    hidden = torch.where(batch.protect, labels, -1)  # 6: what is not protected may be told
    fair = encoder.combine(parts.detach(), batch.protect)  # 7
    rank = ranking(fair, batch.positives, batch.negatives)
    told = information(nets.together.on_shared(encoder.standard(fair)), hidden, rng)
    descend(opts.combine, rank + config.information_weight * told)  # 8: the weights alone

    alone, fair = encoder.standard(alone.detach()), encoder.standard(fair.detach())
    for _ in range(config.estimator_steps):  # 9
        own, shared = nets.alone.on_parts(alone), nets.together.on_shared(fair)
        entropy = known_entropy(own.__getitem__, labels) + known_entropy(shared.__getitem__, hidden)
        if entropy.requires_grad:  # some label is known
            descend(opts.estimate, entropy)


def information(logits: Sequence[Tensor], labels: Tensor, rng: torch.Generator) -> Tensor:
    """Σ over attributes of an estimate of the mutual information of vectors and labels, in nats.

    mean log q(a | x) over users, less the same with the labels of other users of the batch: an upper bound where q is
    p(a | x). An estimate below 0 counts as 0: who minimises it further turns the vectors until another classifier reads
    the attribute. Source: Cheng et al., CLUB, ICML 2020, its variational form.

    Args:
        logits: M × (B, classes) of the q.
        labels: (B, M) classes; users with -1 take no part for that attribute.
        rng: of who gets whose label.
    """
    total = logits[0].sum() * 0
    for scores, label in zip(logits, labels.long().T, strict=True):
        known = torch.nonzero(label >= 0)[:, 0]
        if len(known):
            log_q = torch.log_softmax(scores[known], dim=1)
            own = label[known][:, None]
            other = own[torch.randperm(len(known), generator=rng, device=own.device)]
            total = total + (log_q.gather(1, own) - log_q.gather(1, other)).mean().clamp_min(0)
    return total
