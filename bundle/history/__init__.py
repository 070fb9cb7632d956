"""From a history to a user vector: the one definition that training exports and serving runs.

A closed registry, as for the fair encoders: a manifest names a kind, and a kind this code does not have is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from bundle.errors import UnsupportedError
from bundle.history.autoencoder import Autorec, HistorySet, Multvae
from bundle.history.conditioned import Diffairec
from bundle.history.diffusion import Diffrec
from bundle.history.foldin import FoldIn
from bundle.history.neighbours import FilteredModality, ModalNeighbours
from bundle.history.nothing import NoHistory
from bundle.history.prism import PrismEncoder
from bundle.history.sequence import SequenceEncoder
from bundle.manifest import ArraySpec, Network

__all__ = [
    "HISTORIES",
    "Autorec",
    "Diffairec",
    "Diffrec",
    "FilteredModality",
    "FoldIn",
    "History",
    "HistorySet",
    "ModalNeighbours",
    "Multvae",
    "NoHistory",
    "PrismEncoder",
    "SequenceEncoder",
    "history_kind",
]


class History(Protocol):
    """Makes a u like the base's own from a history alone."""

    readable: ClassVar[bool]
    """Whether it does: sessions and users whom the bundle lacks are served where it is True."""

    @property
    def network(self) -> Network:
        """How a manifest names this kind."""
        ...

    def user_vectors(
        self, histories: Sequence[NDArray[np.int32]], item_vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Item rows of each user, oldest first, and the (I, d) item vectors → (n, d); an empty history gives zeros."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors of history.safetensors."""
        ...

    @classmethod
    def contract(cls, network: Network, dimensions: int, items: int) -> dict[str, ArraySpec]:
        """The arrays that a bundle of this kind must bring."""
        ...

    @classmethod
    def load(cls, network: Network, dimensions: int, arrays: Mapping[str, NDArray[Any]]) -> History:
        """From the arrays of a bundle whose shapes were checked."""
        ...

    def check(self) -> None:
        """Raise a `DamagedError` where values would leave some history without a user vector."""
        ...


HISTORIES: Mapping[str, type[History]] = {
    "fold_in": FoldIn,
    "autorec": Autorec,
    "multvae": Multvae,
    "diffrec": Diffrec,
    "diffairec": Diffairec,
    "sasrec": SequenceEncoder,
    "bert4rec": SequenceEncoder,
    "prism_sasrec": PrismEncoder,
    "prism_bert4rec": PrismEncoder,
    "modal_neighbours": ModalNeighbours,
    "none": NoHistory,
}


def history_kind(network: Network) -> type[History]:
    """The class that a manifest names.

    Raises:
        UnsupportedError: the kind is not in the registry.
    """
    if network.kind not in HISTORIES:
        raise UnsupportedError("history.kind", network.kind, sorted(HISTORIES))
    return HISTORIES[network.kind]
