"""An encoder for user vectors whose last dimensions are 1 for everybody, and stay 1 whatever is protected.

The items' entries in such a dimension are biases: u·v then holds them. A number that is the same for every user says
nothing of any, so no map has to act on it.

Letters: B batch, d dimensions, c of them constant, P parts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.networks.encoder import FairEncoder


class LeftAlone(FairEncoder):
    """Another encoder for the first d - c dimensions, and ones for the rest."""

    def __init__(self, inner: FairEncoder, constants: int) -> None:
        torch.nn.Module.__init__(self)
        self.attribute_count, self.part_count = inner.attribute_count, inner.part_count
        self.inner, self.constants = inner, constants

    def gate(self, mask: Tensor) -> Tensor:
        """(B, P) which parts each mask leaves."""
        return self.inner.gate(mask)

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, P, d); the last c places of a part are 0."""
        return torch.nn.functional.pad(self.inner.split(u[:, : -self.constants]), (0, self.constants))

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """(B, P, d) → (B, d), the last c of them 1."""
        return torch.nn.functional.pad(
            self.inner.combine(parts[..., : -self.constants], mask), (0, self.constants), value=1.0
        )


def left_alone(encoder: FairEncoder, constants: int) -> FairEncoder:
    """The encoder itself where there are no constant dimensions."""
    return LeftAlone(encoder, constants) if constants else encoder
