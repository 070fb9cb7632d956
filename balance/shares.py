"""Which item groups the items of a catalogue are in, laid out for a re-ranker that looks them up by the thousand.

Letters: I items, G item groups, L groups of the item with the most, C different numbers of groups that items have.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

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
        names = sorted({name for each in groups for name in each})
        place = {name: number for number, name in enumerate(names)}
        places = np.array([place[name] for each in groups for name in each], np.int64)
        self._lay_out(names, np.cumsum([0, *map(len, groups)]), places)

    @cached_property
    def by_column(self) -> NDArray[np.int32]:
        """(L, I + 1) `columns`, for those who look up one after the other."""
        return np.ascontiguousarray(self.columns.T)

    @cached_property
    def patterns(self) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """The different ways in which items are in groups, in equal parts, and which of them each item has.

        (T, G), and (I + 1,) rows of it; the last one is of no item, and all 0.
        """
        which = first = np.zeros(len(self.columns), np.intp)
        for column in self.by_column:  # one after the other: whole rows would be compared for a million items
            _, first, which = np.unique(which * (len(self) + 1) + column, return_index=True, return_inverse=True)
        table = np.zeros((len(first), len(self) + 1))
        np.put_along_axis(table, self.columns[first], self.kinds[self.kind[first]][:, None], axis=1)
        return table[:, :-1], which

    @classmethod
    def coded(cls, names: Sequence[str], indptr: NDArray[np.integer], places: NDArray[np.integer]) -> ItemShares:
        """The same of groups in arrays (CSR), which is quick for a million items.

        Args:
            names: of the groups.
            indptr: (I + 1,).
            places: groups of item i: ``places[indptr[i]:indptr[i + 1]]``, as places in ``names``.
        """
        shares = cls.__new__(cls)
        shares._lay_out(names, indptr, places)
        return shares

    def _lay_out(self, names: Sequence[str], indptr: NDArray[np.integer], places: NDArray[np.integer]) -> None:
        items = len(indptr) - 1
        order = sorted(range(len(names)), key=lambda place: (names[place] == UNGROUPED, names[place]))
        number = np.empty(len(names), np.int64)
        number[order] = np.arange(len(names))
        self.names = tuple(names[place] for place in order)
        """G names, ascending, `UNGROUPED` last."""
        rows = np.repeat(np.arange(items), np.diff(indptr))
        pairs = rows * (len(names) + 1) + number[places]
        pairs = np.sort(pairs)
        pairs = pairs[np.append(pairs[:1] >= 0, pairs[1:] != pairs[:-1])]  # as np.unique, which hashes and is slower
        rows, groups = np.divmod(pairs, len(names) + 1)
        alone = np.flatnonzero(np.bincount(rows, minlength=items) == 0)
        if len(alone):
            if UNGROUPED not in self.names:
                self.names = (*self.names, UNGROUPED)
            rows, groups = np.append(rows, alone), np.append(groups, np.full(len(alone), len(self.names) - 1))
            by_item = np.argsort(rows, kind="stable")
            rows, groups = rows[by_item], groups[by_item]
        counts = np.bincount(rows, minlength=items)
        self.columns = np.full((items + 1, int(counts.max(initial=1))), len(self.names), np.int32)
        """(I + 1, L) groups of each item, G where it has no more; the last row is of no item."""
        self.columns[rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)] = groups
        counts = np.append(counts, 1)
        sizes = np.flatnonzero(np.bincount(counts))
        self.kinds = 1.0 / sizes
        """(C,) the different shares that an item's groups have."""
        self.kind = np.searchsorted(sizes, counts).astype(np.int32)
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
        cells = self.columns[lists] + ((len(self) + 1) * np.arange(len(lists)))[:, None, None]
        each = np.broadcast_to((weights * self.kinds[self.kind[lists]])[:, :, None], cells.shape)
        size = (len(self) + 1) * len(lists)
        summed = np.bincount(cells.reshape(-1), each.reshape(-1), size)  # of one list by rank, whatever is beside it
        found: NDArray[np.float64] = summed.astype(np.float64).reshape(len(lists), -1)[:, :-1]
        return found

    def exposure_of(self, items: NDArray[np.integer], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of each group is in (n,) items of any lists together, each with its weight; (G,)."""
        columns = self.columns[items]
        each = np.repeat(weights * self.kinds[self.kind[items]], columns.shape[1])
        summed = np.bincount(columns.reshape(-1), each, len(self) + 1)
        found: NDArray[np.float64] = summed.astype(np.float64)[:-1]
        return found


def discount(k: int) -> NDArray[np.float64]:
    """Weight of ranks 1 to k, 1 / log2(1 + rank), as exposure is counted everywhere; (k,)."""
    return 1.0 / np.log2(np.arange(2, k + 2))
