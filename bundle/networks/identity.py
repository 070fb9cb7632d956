"""No map: what the history gives is the fair vector already, under the one mask of the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of


class IdentityEncoder(FairEncoder):
    """One part, taken always; for bundles of one mask."""

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        sizes_of(sizes)
        expect("parts of an identity encoder", identity_parts(), list(parts))

    def split(self, u: Tensor) -> Tensor:
        """(B, d) → (B, 1, d)."""
        return u[:, None]

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """(B, 1, d) and any masks → (B, d)."""
        return parts[:, 0]


def identity_parts() -> list[Part]:
    """The one part."""
    return [Part(name="user", attributes=[], taken="always")]
