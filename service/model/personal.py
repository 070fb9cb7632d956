"""Targets over item groups that a bundle brings for its users (PCT): each a function of a fair vector alone.

A user's own shares are those of what the fair vector of the request's mask ranks first in the whole catalogue: items
that are seen, hidden or excluded are not dropped, as what is dropped is no function of the fair vector. The tilt and
the target of the whole are the same for everybody (docs/algorithms/reranking.md, P1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import bundle
from balance.pct import tilted
from balance.shares import ItemShares
from balance.targets import TargetError
from bundle import Tilts

Mask = tuple[bool, ...]


@dataclass(frozen=True)
class PersonalTargets:
    """What makes them."""

    depth: int
    """Items of a ranking that a user's own shares are made from."""
    _shares: ItemShares
    _target: NDArray[np.float64]
    _tilts: Mapping[Mask, NDArray[np.float64]]
    _together: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        shares: ItemShares,
        described: bundle.PersonalTargets,
        stored: Tilts,
        mask: Callable[[Sequence[str]], Mask],
    ) -> PersonalTargets:
        """Take what a bundle brings.

        Args:
            shares: the groups of its items.
            described: the manifest's words on it.
            stored: the numbers.
            mask: flags of names.

        Raises:
            TargetError: the groups are not those of the items.
        """
        if tuple(described.groups) != shares.names:
            raise TargetError(f"targets are over {', '.join(described.groups)}; items are in {', '.join(shares.names)}")
        together, *own = np.where(stored.target > 0, stored.tilts, -np.inf)
        return cls(
            described.depth,
            shares,
            np.asarray(stored.target),
            {mask(names): tilt for names, tilt in zip(described.masks, own, strict=True)},
            together,
        )

    def target(self, mask: Mask, own: NDArray[np.integer]) -> NDArray[np.float64]:
        """The target of one user.

        Args:
            mask: of the request.
            own: (n,) item rows that the fair vector of that mask ranks first, nothing dropped.

        Returns:
            (G,) a distribution; the target of the whole where there are no items.
        """
        if not len(own):
            return self._target
        shown = self._shares.exposure(own[None], np.ones(len(own)))
        found: NDArray[np.float64] = tilted(shown, self._tilts.get(mask, self._together), self._target)[0]
        return found
