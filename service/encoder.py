"""User vectors → parts; parts and masks → fair vectors, the same ones whatever else is in the batch.

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

from bundle import FairEncoder, Users

MARGIN = 1e-12
"""Above the float64 error of the network, relative to the largest entry of its output; far below float32's 6e-8."""


class FairVectorError(ArithmeticError):
    """A fair vector is not finite: these parts cannot be searched with."""


class UserEncoder:
    """The bundle's network over the parts of known users, and of others on the fly."""

    def __init__(self, encoder: FairEncoder, users: Users, *, unit_length: bool) -> None:
        """Take the network and every user's parts.

        Args:
            encoder: the bundle's network; a float64 copy of it is run.
            users: of the bundle; parts are read as they are asked for.
            unit_length: scale fair vectors to length 1, for the cosine scorer; a zero vector stays zero.
        """
        network = copy.deepcopy(encoder).double()
        for weight in network.parameters():
            if (
                weight.dim() == 2
            ):  # the same matrix in the other order, in which a product with few rows reads it faster
                weight.data = weight.data.T.contiguous().T
        self._split, self._combine = network.split, network.combine
        self.can_split = type(encoder).split is not FairEncoder.split
        """Whether there are parts for users that the bundle does not have."""
        self._users = users
        self._unit_length = unit_length

    def fair_vectors(self, users: Sequence[int], masks: Sequence[Sequence[bool]]) -> NDArray[np.float32]:
        """Fair vectors of the bundle's users, by their rows; see `combine`."""
        return self.combine(self.parts(users), masks)

    def parts(self, users: Sequence[int]) -> NDArray[np.float32]:
        """(B, P, d) parts of the bundle's users, by their rows."""
        return self._users.of(np.asarray(users))

    def split(self, u: NDArray[np.float32]) -> NDArray[np.float32]:
        """(d,) user vector → (P, d) parts; one user at a time, so that company changes nothing."""
        with torch.inference_mode():
            parts: NDArray[np.float32] = self._split(torch.from_numpy(u[None]).double())[0].float().numpy()
        return parts

    def combine(self, parts: NDArray[np.float32], masks: Sequence[Sequence[bool]]) -> NDArray[np.float32]:
        """Fair vectors of users under their masks.

        Args:
            parts: (B, P, d).
            masks: (B, M), True = protect.

        Returns:
            (B, d), each row a function of its own parts and mask alone, to the last bit.

        Raises:
            FairVectorError: a vector is not finite.
        """
        exact = self._exact(parts, masks)
        margin = MARGIN * np.abs(exact).max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):
            fair: NDArray[np.float32] = (exact - margin).astype(np.float32)
            unsure = (fair != (exact + margin).astype(np.float32)).any(axis=1)
            for row in np.flatnonzero(unsure).tolist():
                fair[row] = self._exact(parts[row : row + 1], masks[row : row + 1])[0]
        if not np.isfinite(fair).all():
            raise FairVectorError("a fair vector is not finite")
        return fair

    def _exact(self, parts: NDArray[np.float32], masks: Sequence[Sequence[bool]]) -> NDArray[np.float64]:
        with torch.inference_mode():
            wanted = torch.from_numpy(np.array(masks, np.bool_).reshape(len(parts), -1))
            u = self._combine(torch.from_numpy(parts).double(), wanted)
            return (torch.nn.functional.normalize(u) if self._unit_length else u).numpy()


def use_one_thread() -> None:
    """Keep torch in the calling thread: the batches are too small to share."""
    torch.set_num_threads(1)
