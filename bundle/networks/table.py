"""Finished fair vectors, one per supported mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bundle.errors import UnsupportedError
from bundle.manifest import Part
from bundle.networks.encoder import FairEncoder, expect, sizes_of


class TableEncoder(FairEncoder):
    """One finished fair vector per supported mask; for methods whose fair vector is no function of u and the mask."""

    waits = True

    masks: Tensor

    def __init__(
        self, attributes: Sequence[str], parts: Sequence[Part], dimensions: int, sizes: Mapping[str, Sequence[int]]
    ) -> None:
        super().__init__(attributes, parts)
        expect("parts of a table encoder", [], [part.name for part in parts])
        (masks,) = sizes_of(sizes, masks=2)
        expect("encoder.sizes.masks, columns", [len(attributes)], masks[1:])
        self.register_buffer("masks", torch.zeros(masks[0], masks[1], dtype=torch.bool))

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """Pick the row of each user's mask.

        Raises:
            UnsupportedError: a mask is not among the supported ones.
        """
        match = (mask[:, None, :] == self.masks).all(-1)
        if not bool(match.any(1).all()):
            raise UnsupportedError("mask", mask[~match.any(1)][0].tolist(), self.masks.tolist())
        return parts[torch.arange(len(parts), device=parts.device), match.int().argmax(1)]
