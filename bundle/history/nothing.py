"""No way from a history to a user vector: user vectors were brought, and no interactions to fit a fold-in to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bundle.errors import UnsupportedError
from bundle.manifest import ArraySpec, Network


class NoHistory:
    """Kind ``none``: the bundle serves its own users alone."""

    readable: ClassVar[bool] = False

    def user_vectors(
        self, histories: Sequence[NDArray[np.int32]], item_vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Refuse.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("history.kind", "none", "a kind that reads histories")

    @property
    def network(self) -> Network:
        """How a manifest names this kind."""
        return Network(kind="none", sizes={})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What history.safetensors holds: nothing."""
        return {}

    @classmethod
    def contract(cls, network: Network, dimensions: int, items: int) -> dict[str, ArraySpec]:
        """The arrays that a bundle of this kind must bring: none."""
        return {}

    @classmethod
    def load(cls, network: Network, dimensions: int, arrays: Mapping[str, NDArray[Any]]) -> NoHistory:
        """Nothing to load."""
        return cls()

    def check(self) -> None:
        """Nothing to refuse."""
