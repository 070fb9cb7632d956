"""Fair vectors of those who ask again: the next page, the same list tomorrow, a list after a new interaction.

A fair vector of a user whom the bundle has is a function of user and mask alone, to the last bit
(`service.model.encoder`), and a model never changes: so what was computed once is the answer for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from service.model.encoder import UserEncoder, UserVector

MOST_BYTES = 16 * 2**20
"""Of all that is kept: some 20,000 vectors of 64 dimensions. Each of the models that answer has as much."""
OVERHEAD_BYTES = 570
"""Of one vector besides its numbers: array, key, dictionary slot (measured)."""


class KeptVectors:
    """Asks an encoder, and keeps what it said of a user and a mask; the oldest goes first.

    Several threads may ask: at worst a vector is computed twice.
    """

    def __init__(self, encoder: UserEncoder, dimensions: int) -> None:
        """Nothing is kept yet.

        Args:
            encoder: of the model.
            dimensions: d.
        """
        self._encoder, self._dimensions = encoder, dimensions
        self._most = MOST_BYTES // (4 * dimensions + OVERHEAD_BYTES)
        self._room = Lock()
        self._kept: dict[tuple[int, tuple[bool, ...]], NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def fair_vectors(self, users: Sequence[int | UserVector], masks: Sequence[tuple[bool, ...]]) -> NDArray[np.float32]:
        """As `UserEncoder.fair_vectors`, of the users and masks that are not kept.

        Raises:
            FairVectorError: a vector is not finite; then nothing of the batch is kept.
        """
        fair = np.empty((len(users), self._dimensions), np.float32)
        new = []
        for place, (user, mask) in enumerate(zip(users, masks, strict=True)):
            vector = self._kept.get((user, mask)) if isinstance(user, int) else None
            if vector is None:
                new.append(place)
            else:
                fair[place] = vector
        if new:
            fair[new] = self._encoder.fair_vectors([users[place] for place in new], [masks[place] for place in new])
            for place in new:
                self._keep(users[place], masks[place], fair[place])
        return fair

    def _keep(self, user: int | UserVector, mask: tuple[bool, ...], vector: NDArray[np.float32]) -> None:
        if not isinstance(user, int):
            return  # made of a history, which is rarely the same twice
        with self._room:
            while len(self._kept) >= self._most:
                del self._kept[next(iter(self._kept))]
            self._kept[user, mask] = vector.copy()  # a row alone: the batch that it was made in is not held
