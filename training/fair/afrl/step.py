"""AFRL: split the user vector, align each part with its attribute, keep the attributes out of the shared part, combine.

Source: Zhu et al., SIGIR 2024; numbers in `training_step` are lines of docs/algorithms/afrl.md.

Letters: B batch, d dimensions, M attributes, R (positive, negative) pairs per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn, optim

from bundle import Network, Part, build_encoder
from bundle.networks import AfrlEncoder
from training.base.contract import RankingLoss
from training.fair.heads import AttributeLoss, Heads
from training.loop import Schedule


class AfrlConfig(BaseModel):
    """Hyper-parameters of the fair encoder. Read once, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["afrl"] = "afrl"
    alignment_weight: NonNegativeFloat = 0.1
    """β, the price of keeping anything besides the attribute itself."""
    adversary_weight: NonNegativeFloat = 0.1
    """λ, the price of leaking an attribute through the shared part."""
    adversary_steps: PositiveInt = 1
    """Discriminator updates per batch."""
    learning_rate: PositiveFloat = 5e-5
    weight_decay: NonNegativeFloat = 1e-8
    batch: PositiveInt = 256
    """Rows in a step: interactions in `reproduce`, users in `strict`."""
    pairs: PositiveInt = 1
    """(positive, negative) pairs a user brings into a step; `strict` only, in `reproduce` a row is one pair."""
    leakage_price: NonNegativeFloat = 1.0
    """`strict` only: what a select user's leaked AUC point costs in kept accuracy when the best epoch is chosen."""
    schedule: Schedule = Field(default_factory=Schedule)


def afrl_parts(attributes: Sequence[str]) -> list[Part]:
    """The shared part in every mask, each attribute's part unless it is protected."""
    shared = Part(name="shared", attributes=[], taken="always")
    return [shared, *(Part(name=name, attributes=[name], taken="none_protected") for name in attributes)]


def afrl_network(dimensions: int, attributes: int) -> Network:
    """Layer sizes of the reference, for any d and M; at d = 64 and M = 3 exactly its own."""
    d, width = dimensions, (attributes + 1) * dimensions
    return Network(
        kind="afrl",
        sizes={"split": [d, 2 * d, 4 * d, 8 * d, 4 * d, 2 * d, d], "combine": [width, 2 * width, width, d]},
    )


@dataclass(frozen=True)
class FairNets:
    """The encoder that will be exported, and the classifiers that only training has."""

    encoder: AfrlEncoder
    classifiers: Heads
    adversaries: Heads

    @classmethod
    def create(cls, dimensions: int, attributes: Sequence[str], classes: Sequence[int], seed: int) -> FairNets:
        """Fresh networks; the same seed gives the same weights."""
        rng = torch.Generator().manual_seed(seed)
        encoder = build_encoder(
            afrl_network(dimensions, len(attributes)), dimensions, attributes, afrl_parts(attributes)
        )
        assert isinstance(encoder, AfrlEncoder)  # noqa: S101  the kind says so
        encoder.initialise(rng)
        return cls(encoder, Heads(dimensions, classes, rng), Heads(dimensions, classes, rng))

    def modules(self) -> dict[str, nn.Module]:
        """By name, for checkpoints."""
        return {"encoder": self.encoder, "classifiers": self.classifiers, "adversaries": self.adversaries}


@dataclass(frozen=True)
class Optimisers:
    """All Adam. F, the E_i and the C_i share one: their losses share no weight, and Adam works weight by weight."""

    split: optim.Adam
    adversary: optim.Adam
    aggregate: optim.Adam

    @classmethod
    def create(cls, nets: FairNets, config: AfrlConfig) -> Optimisers:
        """One optimiser for each group of networks that learns from one loss."""

        def adam(*modules: nn.Module) -> optim.Adam:
            weights = [weight for module in modules for weight in module.parameters()]
            return optim.Adam(weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)

        split = adam(nets.encoder.parts, nets.classifiers)
        return cls(split, adam(nets.adversaries), adam(nets.encoder.aggregate))

    def by_name(self) -> dict[str, optim.Optimizer]:
        """For checkpoints."""
        return {"split": self.split, "adversary": self.adversary, "aggregate": self.aggregate}


@dataclass(frozen=True)
class Batch:
    """What one step learns from."""

    users: Tensor
    """(B, d) u from the frozen base."""
    labels: Tensor
    """(B, M), -1 where unknown or not to be learned from."""
    protect: Tensor
    """(B, M) bool, True = withhold."""
    positives: Tensor
    """(B, R) item rows."""
    negatives: Tensor
    """(B, R) item rows."""


def training_step(
    nets: FairNets, opts: Optimisers, batch: Batch, loss: AttributeLoss, ranking: RankingLoss, config: AfrlConfig
) -> None:
    """Train on one batch. Numbers are lines of docs/algorithms/afrl.md."""
    parts = nets.encoder.split(batch.users)  # 3: shared part (B, d), attribute parts (B, M, d)
    shared, own = parts[:, 0], parts[:, 1:]

    keep = loss(nets.classifiers.on_parts(own), batch.labels)  # 4: each part names its attribute
    align = keep + config.alignment_weight * own.norm(dim=-1).mean(0).sum()  # 5
    leak = loss(nets.adversaries.on_shared(shared), batch.labels)  # 6: the shared part must not
    hide = nn.functional.mse_loss(shared, batch.users) - config.adversary_weight * leak  # 7
    descend(opts.split, align + hide)  # 8: no weight of E, C is in `hide`, none of F in `align`

    for _ in range(config.adversary_steps):  # 9: keep the adversary sharp
        descend(opts.adversary, loss(nets.adversaries.on_shared(shared.detach()), batch.labels))

    fair = nets.encoder.combine(parts.detach(), batch.protect)  # 10: gate and aggregate the parts of line 3
    descend(opts.aggregate, ranking(fair, batch.positives, batch.negatives))  # 11


def descend(optimiser: optim.Optimizer, loss: Tensor) -> None:
    """One step down ``loss`` for this optimiser's weights alone."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
