"""Exposure added up list by list: one row for each user and client, one column for each item group.

Memory grows with users × clients × item groups, and not with the lists: a log of any length is counted in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from measure.fairness.items import ItemGroups, discount, of_items

Number = TypeVar("Number", np.int32, np.int64, np.float64)


class Sums(NamedTuple):
    """What a tally has by now: P rows, one for each user and client, and C columns."""

    groups: tuple[str, ...]
    """C names of item groups: those of every catalogue that was counted."""
    users: NDArray[np.int64]
    """(P,) whose lists are in each row."""
    clients: NDArray[np.int64]
    """(P,) through which client they were asked for."""
    lists: NDArray[np.int64]
    """(P,) how many there are; at least one."""
    exposure: NDArray[np.float64]
    """(P, C) weight of the places that an item group had, 1 / log2(1 + rank); items of several groups share it."""
    shown: NDArray[np.float64]
    """(P, C) in how many of the lists an item group was at all."""
    cold: NDArray[np.float64]
    """(P, 2) weight of the places of cold items, which nobody had touched, and of all others."""


class Tally:
    """Sums over lists. A client is an API key, by its id; 0 is no key."""

    def __init__(self, users: int, groups: Sequence[str]) -> None:
        """Nothing is counted yet.

        Args:
            users: U; lists are those of users 0 to U - 1.
            groups: item groups that have a column whether anything of them is shown or not.
        """
        self._users = users
        self._place: dict[int, int] = {}
        """Client → its place in `_row`."""
        self._row: NDArray[np.int32] = np.zeros((0, users), np.int32)
        """(clients, U) one more than the row of a user's lists through a client; 0 for none."""
        self._size = 0
        self._column = {name: column for column, name in enumerate(groups)}
        self._owner: NDArray[np.int64] = np.zeros((0, 2), np.int64)
        self._lists: NDArray[np.int64] = np.zeros(0, np.int64)
        self._exposure: NDArray[np.float64] = np.zeros((0, len(groups)))
        self._shown: NDArray[np.float64] = np.zeros((0, len(groups)))
        self._cold: NDArray[np.float64] = np.zeros((0, 2))

    def add(
        self,
        users: NDArray[np.int64],
        clients: NDArray[np.int64],
        lengths: NDArray[np.int64],
        items: NDArray[np.int32],
        groups: ItemGroups,
        cold: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count n lists of items of one catalogue.

        Args:
            users: shape (n,), whose they are.
            clients: shape (n,), through whom they were asked for.
            lengths: shape (n,), items of each.
            items: shape (sum of lengths,), catalogue rows of all lists, one after the other, each best first.
            groups: of the catalogue's items.
            cold: shape (I,), which of the catalogue's items nobody had touched; None for none.
        """
        if not len(users):
            return
        rows, columns = self._rows_of(users, clients), self._columns_of(groups.names)
        order = np.argsort(rows, kind="stable")
        starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
        hit = rows[order[starts]]
        exposure = _by_list(lengths, items, groups)[order]
        new = np.zeros(len(rows)) if cold is None else _of_some(lengths, cold[items])[order]
        self._lists[hit] += np.diff(np.append(starts, len(rows)))
        self._cold[hit] += np.add.reduceat(np.stack([new, exposure.sum(axis=1) - new], axis=1), starts)
        for sums, values in ((self._exposure, exposure), (self._shown, (exposure > 0).astype(np.float64))):
            added = np.zeros((len(hit), sums.shape[1]))
            added[:, columns] = np.add.reduceat(values, starts)
            sums[hit] += added  # four times as fast as adding to those columns of it alone

    @property
    def sums(self) -> Sums:
        """All that was counted."""
        rows, columns = slice(self._size), slice(len(self._column))
        return Sums(
            tuple(self._column),
            self._owner[rows, 0],
            self._owner[rows, 1],
            self._lists[rows],
            self._exposure[rows, columns],
            self._shown[rows, columns],
            self._cold[rows],
        )

    def _rows_of(self, users: NDArray[np.int64], clients: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) rows; new ones for users that were not met through a client before."""
        ids, place = np.unique(clients, return_inverse=True)
        for client in ids.tolist():
            self._place.setdefault(client, len(self._place))
        if len(self._place) > len(self._row):
            self._row = _padded(self._row, (2 * len(self._place), self._users))
        at = np.array([self._place[client] for client in ids.tolist()])[place]
        new = self._row[at, users] == 0
        if new.any():
            cells = np.unique(at[new] * self._users + users[new])
            self._grow(self._size + len(cells), len(self._column))
            owners = np.array(list(self._place), np.int64)[cells // self._users]
            self._owner[self._size : self._size + len(cells)] = np.stack([cells % self._users, owners], axis=1)
            self._row.reshape(-1)[cells] = np.arange(self._size + 1, self._size + 1 + len(cells))
            self._size += len(cells)
        rows: NDArray[np.int64] = self._row[at, users].astype(np.int64) - 1
        return rows

    def _columns_of(self, names: Sequence[str]) -> NDArray[np.int64]:
        """(C,) columns; new ones for item groups that no catalogue had before."""
        columns = [self._column.setdefault(name, len(self._column)) for name in names]
        self._grow(self._size, len(self._column))
        return np.array(columns, np.int64)

    def _grow(self, rows: int, columns: int) -> None:
        """Make room, twice as much as there is where that is not enough."""
        height, width = self._exposure.shape
        if rows <= height and columns <= width:
            return
        height = height if rows <= height else max(rows, 2 * height)
        self._owner = _padded(self._owner, (height, 2))
        self._lists = _padded(self._lists, (height,))
        self._cold = _padded(self._cold, (height, self._cold.shape[1]))
        self._exposure = _padded(self._exposure, (height, max(width, columns)))
        self._shown = _padded(self._shown, (height, max(width, columns)))


def side_by_side(tallies: Sequence[Tally], users: int) -> Sums:
    """Several tallies as one: a user who is in two of them is two users.

    Args:
        tallies: at least one; of the same users.
        users: U of each; user u of tally t becomes u + t U.
    """
    each = [tally.sums for tally in tallies]
    if len(each) == 1:
        return each[0]
    columns = {name: None for sums in each for name in sums.groups}
    place = {name: column for column, name in enumerate(columns)}
    rows = np.cumsum([0, *(len(sums.lists) for sums in each)])
    exposure, shown = np.zeros((rows[-1], len(place))), np.zeros((rows[-1], len(place)))
    for sums, start in zip(each, rows.tolist(), strict=False):
        at = np.ix_(range(start, start + len(sums.lists)), [place[name] for name in sums.groups])
        exposure[at], shown[at] = sums.exposure, sums.shown
    return Sums(
        tuple(place),
        np.concatenate([sums.users + t * users for t, sums in enumerate(each)]),
        np.concatenate([sums.clients for sums in each]),
        np.concatenate([sums.lists for sums in each]),
        exposure,
        shown,
        np.concatenate([sums.cold for sums in each]),
    )


def _by_list(lengths: NDArray[np.int64], items: NDArray[np.int32], groups: ItemGroups) -> NDArray[np.float64]:
    """(n, C) exposure of each item group in each list."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    return of_items(owners, items, _weights(lengths), len(lengths), groups, shared=True)


def _of_some(lengths: NDArray[np.int64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n,) exposure of some of the places (sum of lengths,) in each list."""
    owners = np.repeat(np.arange(len(lengths)), lengths)[wanted]
    return np.bincount(owners, _weights(lengths)[wanted], len(lengths)).astype(np.float64)


def _weights(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """(sum of lengths,) weights of the places of lists, one after the other."""
    ranks = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return discount(int(lengths.max(initial=0)))[ranks]


def _padded(array: NDArray[Number], shape: tuple[int, ...]) -> NDArray[Number]:
    wider = np.zeros(shape, array.dtype)
    wider[tuple(map(slice, array.shape))] = array
    return wider
