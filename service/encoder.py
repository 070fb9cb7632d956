"""Parts and masks → fair vectors, the same ones whatever else is in the batch.

A matrix product gives other last bits for another batch size. So the bundle's network runs in float64 and its output
is rounded to float32: the two agree unless the float64 value lies within `MARGIN` of where the rounding changes, and
such a row is computed again alone. The fair vector is then one value, not a matter of company.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder

MARGIN = 1e-12
"""Above the float64 error of the network, relative to the largest entry of its output; far below float32's 6e-8."""


class FairVectorError(ArithmeticError):
    """A fair vector is not finite: these parts cannot be searched with."""


class UserEncoder:
    """The bundle's combine step over the parts of known users."""

    def __init__(self, encoder: FairEncoder, parts: NDArray[np.float32], *, unit_length: bool) -> None:
        """Take the network and every user's parts.

        Args:
            encoder: the bundle's network; a float64 copy of it is run.
            parts: (U, P, d).
            unit_length: scale fair vectors to length 1, for the cosine scorer; a zero vector stays zero.
        """
        self._combine = copy.deepcopy(encoder).double().combine
        self._parts = parts
        self._unit_length = unit_length

    def fair_vectors(self, users: Sequence[int], masks: Sequence[Sequence[bool]]) -> NDArray[np.float32]:
        """Fair vectors of users under their masks.

        Args:
            users: (B,) user rows.
            masks: (B, M), True = protect.

        Returns:
            (B, d), each row a function of its own user and mask alone, to the last bit.

        Raises:
            FairVectorError: a vector is not finite.
        """
        exact = self._exact(users, masks)
        margin = MARGIN * np.abs(exact).max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            unsure = ((exact - margin).astype(np.float32) != (exact + margin).astype(np.float32)).any(axis=1)
            for row in np.flatnonzero(unsure).tolist():
                exact[row] = self._exact(users[row : row + 1], masks[row : row + 1])[0]
            fair = exact.astype(np.float32)
        if not np.isfinite(fair).all():
            raise FairVectorError("a fair vector is not finite")
        return fair

    def _exact(self, users: Sequence[int], masks: Sequence[Sequence[bool]]) -> NDArray[np.float64]:
        with torch.inference_mode():
            parts = torch.from_numpy(self._parts[np.asarray(users)]).double()
            u = self._combine(parts, torch.tensor(masks, dtype=torch.bool).reshape(len(users), -1))
            return (torch.nn.functional.normalize(u) if self._unit_length else u).numpy()


def use_one_thread() -> None:
    """Keep torch in the calling thread: the batches are too small to share."""
    torch.set_num_threads(1)
