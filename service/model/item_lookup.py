"""Finds rows of one bundle's items: by id, by group, and of hidden items."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bundle import Groups

REMEMBERED = 64
"""How many group filters are kept with their rows."""
Rows = NDArray[np.int32]


class ItemLookup:
    """Turns ids and groups of a request into rows. For the event loop alone."""

    def __init__(self, row: Mapping[str, int], groups: Sequence[Sequence[str]]) -> None:
        """Take item id → row, and the groups of each row."""
        self._row = row
        self._groups = Groups.of(groups)
        self._outside: OrderedDict[frozenset[str], Rows] = OrderedDict()
        self._hidden: tuple[frozenset[str] | None, Rows] = (None, np.zeros(0, np.int32))

    @property
    def groups(self) -> list[str]:
        """Every group, sorted."""
        return list(self._groups.names)

    def has(self, group: str) -> bool:
        """Whether any item is in this group."""
        return self._groups.has(group)

    def rows(self, ids: Iterable[str]) -> list[int]:
        """Rows of the items that the bundle has, in the order of ``ids``."""
        found = map(self._row.get, ids)
        return [row for row in found if row is not None]

    def outside(self, groups: Iterable[str]) -> Rows:
        """Rows of the items in none of these groups; the bundle has all of the groups."""
        wanted = frozenset(groups)
        if wanted not in self._outside:
            kept = np.zeros(len(self._row), np.bool_)
            for name in wanted:
                kept[self._groups.rows(name)] = True
            self._outside[wanted] = np.flatnonzero(~kept).astype(np.int32)
            if len(self._outside) > REMEMBERED:
                self._outside.popitem(last=False)
        self._outside.move_to_end(wanted)
        return self._outside[wanted]

    def hidden(self, items: frozenset[str]) -> Rows:
        """Rows of hidden items; asking for the same set again costs nothing."""
        if self._hidden[0] is not items:
            self._hidden = (items, np.array(self.rows(items), np.int32))
        return self._hidden[1]
