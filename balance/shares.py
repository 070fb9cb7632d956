"""Which item groups the items of a catalogue are in, laid out for a re-ranker that looks them up by the thousand.

Letters: I items, G item groups, L groups of the item with the most, C different numbers of groups that items have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNGROUPED = "no group"
"""The group of items without one, as in `measure.fairness.items`: whatever is shown is counted."""


class ItemShares:
    """The groups of every item; an item of several belongs to each with an equal share."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        """Number the groups by name, in alphabetical order; `UNGROUPED` comes last.

        Args:
            groups: of each of I items; a name that is there twice counts once.
        """
        own = [tuple(dict.fromkeys(names)) or (UNGROUPED,) for names in groups]
        known = {name for names in own for name in names}
        self.names = (*sorted(known - {UNGROUPED}), *({UNGROUPED} & known))
        """G names."""
        place = {name: number for number, name in enumerate(self.names)}
        counts = np.array([len(each) for each in own], np.intp)
        widest = int(counts.max(initial=1))
        self.columns = np.full((len(own) + 1, widest), len(self.names), np.int32)
        """(I + 1, L) groups of each item, G where it has no more; the last row is of no item."""
        filled = np.arange(widest) < counts[:, None]
        self.columns[:-1][filled] = [place[name] for each in own for name in each]
        sizes, kind = np.unique(np.append(counts, 1), return_inverse=True)
        self.kinds = 1.0 / sizes
        """(C,) the different shares that an item's groups have."""
        self.kind = kind.astype(np.int32)
        """(I + 1,) which of them each item has."""

    def __len__(self) -> int:
        return len(self.names)

    def exposure(self, lists: NDArray[np.integer], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of each group is in each list: the weight of each place, shared by the groups of the item there.

        Args:
            lists: (B, k) item rows by rank, -1 for an empty place.
            weights: (k,) of the ranks.

        Returns:
            (B, G); a function of each list alone.
        """
        found = np.zeros((len(lists), len(self) + 1))
        rows = np.arange(len(lists))[:, None]
        for rank in range(lists.shape[1]):  # the groups of one item differ: no cell is met twice
            items = lists[:, rank]
            found[rows, self.columns[items]] += (weights[rank] * self.kinds[self.kind[items]])[:, None]
        return found[:, :-1]


def discount(k: int) -> NDArray[np.float64]:
    """Weight of ranks 1 to k, 1 / log2(1 + rank), as exposure is counted everywhere; (k,)."""
    return 1.0 / np.log2(np.arange(2, k + 2))
