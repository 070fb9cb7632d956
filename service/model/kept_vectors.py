"""Fair vectors of those who ask again: the next page, the same list tomorrow, a list after a new interaction.

A fair vector of a user whom the bundle has is a function of user and mask alone, to the last bit
(`service.model.encoder`), and a model never changes: so what was computed once is the answer for good.

Letters: B batch, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from service.model.encoder import UserEncoder, UserVector

MOST_BYTES = 4 * 2**20
"""Of all that is kept: some 10,000 vectors of 64 dimensions. Each of the models that answer has as much."""
OVERHEAD_BYTES = 150
"""Of one vector besides its numbers: who it is of, where it is (measured: 140)."""


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
        most = max(1, MOST_BYTES // (4 * dimensions + OVERHEAD_BYTES))
        self._vectors = np.empty((most, dimensions), np.float32)
        self._owners: list[int] = []
        """Of each of its rows that is in use, whose it is."""
        self._rows: dict[int, int] = {}
        """Whose → row."""
        self._oldest = 0
        self._lock = Lock()  # a row may be given to somebody else between a look and the copy

    def __len__(self) -> int:
        return len(self._rows)

    def fair_vectors(self, users: Sequence[int | UserVector], masks: Sequence[tuple[bool, ...]]) -> NDArray[np.float32]:
        """As `UserEncoder.fair_vectors`, of the users and masks that are not kept.

        Raises:
            FairVectorError: a vector is not finite; then nothing of the batch is kept.
        """
        owners = [_owner(user, mask) for user, mask in zip(users, masks, strict=True)]
        with self._lock:
            rows = np.array([-1 if owner is None else self._rows.get(owner, -1) for owner in owners], np.int64)
            fair = self._vectors[rows]
        new = np.flatnonzero(rows < 0).tolist()
        if new:
            fair[new] = self._encoder.fair_vectors([users[place] for place in new], [masks[place] for place in new])
            with self._lock:
                for place in new:
                    self._keep(owners[place], fair[place])
        return fair

    def _keep(self, owner: int | None, vector: NDArray[np.float32]) -> None:
        if owner is None or owner in self._rows:
            return
        row = len(self._owners)
        if row < len(self._vectors):
            self._owners.append(owner)
        else:
            row, self._oldest = self._oldest, (self._oldest + 1) % len(self._vectors)
            del self._rows[self._owners[row]]
            self._owners[row] = owner
        self._rows[owner] = row
        self._vectors[row] = vector


def _owner(user: int | UserVector, mask: tuple[bool, ...]) -> int | None:
    """One number for a user and a mask; None for a vector made of a history, which is rarely the same twice."""
    return int.from_bytes(bytes(mask)) + (user << 8 * len(mask)) if isinstance(user, int) else None
