"""A user vector from a history in its order, read with what modalities say of its items (PRISM on SASRec, BERT4Rec).

Experts look at an item's features alone, so what they say of every item is a table of the bundle; how much each of them
counts is made from the history (`bundle.history.fusion`). What is read then is what `bundle.history.sequence` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundle.errors import DamagedError
from bundle.history.fusion import Fusion, Said
from bundle.history.sequence import FILE, LARGEST, SIZES, SequenceEncoder
from bundle.manifest import ArraySpec, Network

MOST_EXPERTS = 64
MODAL, EXPERTS = "modal", "experts"


class PrismEncoder(SequenceEncoder):
    """Kinds ``prism_sasrec`` and ``prism_bert4rec``: sizes as theirs, `experts` [E] and `gate` [h]."""

    sizes: ClassVar[tuple[str, ...]] = (*SIZES, "experts", "gate")

    def __init__(self, network: Network, dimensions: int) -> None:
        super().__init__(network, dimensions)
        (self.experts,), (gate,) = network.sizes["experts"], network.sizes["gate"]
        if self.experts > MOST_EXPERTS:
            raise DamagedError("manifest.json", "history.sizes.experts", f"at most {MOST_EXPERTS}", self.experts)
        self.fusion = Fusion(dimensions, self.experts, gate)
        self.tables: dict[str, NDArray[np.float32]] = {}
        """`modal` (I, d) and `experts` (I, E, d), a row for every item; they stay as the file has them."""

    def read(self, items: NDArray[np.int64], present: Tensor, item_vectors: NDArray[np.float32]) -> Tensor:
        """(B, L, d) item vectors, and what the modalities say of the items."""
        each, places = np.unique(items, return_inverse=True)
        said = Said(*(torch.from_numpy(self.tables[name][each]).to(self.positions) for name in (MODAL, EXPERTS)))
        vectors = super().read(items, present, item_vectors)
        there = torch.from_numpy(places.reshape(items.shape)).to(self.positions.device)
        return self.fusion(vectors, present, there, said, causal=self.causal)  # type: ignore[no-any-return]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors of history.safetensors."""
        return super().arrays() | {name: table.copy() for name, table in self.tables.items()}

    @classmethod
    def contract(cls, network: Network, dimensions: int, items: int) -> dict[str, ArraySpec]:
        """The arrays that a bundle of this kind must bring."""
        known = super().contract(network, dimensions, items)
        (experts,) = network.sizes["experts"]
        shapes = {MODAL: [items, dimensions], EXPERTS: [items, experts, dimensions]}
        return known | {name: ArraySpec(shape=shape, dtype="float32") for name, shape in shapes.items()}

    @classmethod
    def load(cls, network: Network, dimensions: int, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From the arrays of a bundle whose shapes were checked; nothing to train."""
        weights = {name: value for name, value in arrays.items() if name not in (MODAL, EXPERTS)}
        encoder = super().load(network, dimensions, weights)
        encoder.tables = {name: arrays[name] for name in (MODAL, EXPERTS)}
        return encoder

    def check(self) -> None:
        """Refuse weights that could overflow, and a temperature of nothing.

        Raises:
            DamagedError: names the array and the value.
        """
        super().check()
        for name, table in self.tables.items():
            if table.size and (largest := max(float(table.max()), -float(table.min()))) > LARGEST:
                raise DamagedError(FILE, name, f"values within ±{LARGEST:g}", largest)
        if not float(self.fusion.temperature) > 1 / LARGEST:
            raise DamagedError(FILE, "fusion.temperature", f"above {1 / LARGEST:g}", float(self.fusion.temperature))
