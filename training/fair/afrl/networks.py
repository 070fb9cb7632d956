"""AFRL's networks as training makes them: the encoder that will be exported, and the classifiers around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bundle import Network, Part, build_encoder
from bundle.networks import AfrlEncoder
from training.fair.heads import Heads


def afrl_parts(attributes: Sequence[str], without: str = "none") -> list[Part]:
    """The shared part in every mask, each attribute's part unless it is protected; an ablation has only one kind."""
    shared = [Part(name="shared", attributes=[], taken="always")]
    own = [Part(name=name, attributes=[name], taken="none_protected") for name in attributes]
    return {"none": shared + own, "shared": own, "attributes": shared}[without]


def afrl_network(dimensions: int, parts: int) -> Network:
    """Layer sizes of the reference, for any d and number of parts; at d = 64 and 1 + 3 parts exactly its own."""
    d, width = dimensions, parts * dimensions
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
    own: slice
    """Which parts are the attributes'."""

    @classmethod
    def create(
        cls, dimensions: int, attributes: Sequence[str], classes: Sequence[int], seed: int, without: str = "none"
    ) -> FairNets:
        """Fresh networks; the same seed gives the same weights."""
        rng = torch.Generator().manual_seed(seed)
        parts = afrl_parts(attributes, without)
        encoder = build_encoder(afrl_network(dimensions, len(parts)), dimensions, attributes, parts)
        assert isinstance(encoder, AfrlEncoder)  # noqa: S101  the kind says so
        encoder.initialise(rng)
        own = slice(0 if without == "shared" else 1, None)
        return cls(encoder, Heads(dimensions, classes, rng), Heads(dimensions, classes, rng), own)

    def modules(self) -> dict[str, nn.Module]:
        """By name, for checkpoints."""
        return {"encoder": self.encoder, "classifiers": self.classifiers, "adversaries": self.adversaries}
