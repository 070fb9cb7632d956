"""One prompted encoder and its discriminators for each mask, and the vectors they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bundle import FairEncoder
from training.fair.heads import Heads
from training.fair.pfrec.histories import padded
from training.fair.pfrec.prompted import PromptedEncoder

Flags = tuple[bool, ...]
"""A mask: one flag per attribute, True = protect."""


class MaskNets(nn.Module):
    """The networks that one mask trains."""

    def __init__(self, prompted: PromptedEncoder, adversaries: Heads) -> None:
        super().__init__()
        self.prompted, self.adversaries = prompted, adversaries


class PfrecNets(nn.Module):
    """Of every mask that protects something."""

    def __init__(self, nets: dict[Flags, MaskNets]) -> None:
        super().__init__()
        self.masks = tuple(nets)
        self.by_mask = nn.ModuleList(nets.values())

    def of(self, mask: Flags) -> MaskNets:
        """Those of one mask."""
        return self.by_mask[self.masks.index(mask)]  # type: ignore[return-value]


@dataclass(frozen=True)
class Readers:
    """Users whose histories are read."""

    histories: Sequence[NDArray[np.int32]]
    """Item rows of each, oldest first."""
    labels: NDArray[np.int16]
    """(n, M) own classes, -1 unknown: read where there are user prompts, and only there."""
    items: NDArray[np.float32]
    """(I, d)."""

    @torch.no_grad()
    def vectors(self, prompted: PromptedEncoder) -> NDArray[np.float32]:
        """(n, d) fair vectors; zeros where a history is empty, as for the base."""
        positions = prompted.encoder.positions
        vectors = np.zeros((len(self.histories), positions.shape[1]), np.float32)
        for places, rows, present in padded(self.histories, prompted.encoder.items):
            read = (torch.from_numpy(array).to(positions.device) for array in (self.items[rows], present))
            labels = torch.from_numpy(self.labels[places]).to(positions.device)
            vectors[places] = prompted(*read, labels).cpu().numpy()
        return vectors


class ReadUsers(FairEncoder):
    """The fair vectors of some users as a validation asks for them: one mask for all of them at a time."""

    def __init__(self, attributes: Sequence[str], nets: PfrecNets, readers: Readers) -> None:
        super().__init__(attributes, parts=[])
        self.nets, self._readers = nets, readers

    def split(self, u: Tensor) -> Tensor:
        """(n, d) user vectors → (n, 1, d)."""
        return u[:, None]

    def combine(self, parts: Tensor, mask: Tensor) -> Tensor:
        """(n, 1, d) and n times the same mask → (n, d)."""
        flags = tuple(mask[0].tolist())
        if not any(flags):
            return parts[:, 0]
        return torch.from_numpy(self._readers.vectors(self.nets.of(flags).prompted)).to(parts)
