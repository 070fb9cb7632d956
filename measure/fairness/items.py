"""Groups of items, such as genres, and how much of each is in somebody's list.

Lists are (n, k) item rows by rank, -1 for an empty place; empty places come last, and no item is in a list twice.
Letters: n users, k ranks, I items, C item groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.errors import ListsError, ShapeError
from measure.scoring import Floats, Ints

UNGROUPED = "no group"
"""Where items without a group are, so that all that is shown is counted."""
_BLOCK_ENTRIES = 2_000_000  # list places looked at at a time


@dataclass(frozen=True)
class ItemGroups:
    """Which groups each item is in (CSR); every item is in at least one."""

    names: tuple[str, ...]
    indptr: NDArray[np.int64]
    """(I + 1,)"""
    indices: NDArray[np.int64]
    """Groups of item i: ``indices[indptr[i]:indptr[i + 1]]``, each once."""

    @property
    def item_count(self) -> int:
        """I."""
        return len(self.indptr) - 1

    def __len__(self) -> int:
        return len(self.names)


def item_groups(groups: Sequence[Sequence[str]]) -> ItemGroups:
    """Number the groups of I items by name, in alphabetical order; items without a group are in one of their own."""
    own = [tuple(dict.fromkeys(names)) or (UNGROUPED,) for names in groups]
    known = {name for names in own for name in names}
    names = (*sorted(known - {UNGROUPED}), *({UNGROUPED} & known))
    place = {name: number for number, name in enumerate(names)}
    ends = np.cumsum([0, *(len(each) for each in own)])
    return ItemGroups(names, ends.astype(np.int64), np.array([place[name] for each in own for name in each], np.int64))


def cold_and_others(cold: NDArray[np.bool_]) -> ItemGroups:
    """Two groups of I items: those that nobody has touched, and the others."""
    count = len(cold)
    return ItemGroups(("cold", "others"), np.arange(count + 1, dtype=np.int64), np.where(cold, 0, 1).astype(np.int64))


def discount(k: int) -> NDArray[np.float64]:
    """Weight of ranks 1 to k: 1 / log2(1 + rank), so 1 at the top; shape (k,).

    Source:
        The discount of Järvelin and Kekäläinen, TOIS 20(4), 2002, as a model of attention in Singh and Joachims,
        KDD 2018.
    """
    return 1.0 / np.log2(np.arange(2, k + 2))


def listed(lists: Ints, groups: ItemGroups, weights: Floats, *, shared: bool) -> NDArray[np.float64]:
    """Sum, over a user's list, the weight of each rank into the groups of the item there.

    Args:
        lists: shape (n, k), item rows.
        groups: of I items.
        weights: shape (k,), of the ranks.
        shared: whether an item of several groups gives each an equal share of its weight; else all of it to each.

    Returns:
        Shape (n, C). An empty list gives zeros.

    Raises:
        ListsError: an item that there is none of, one twice, or an empty place before a filled one.
    """
    checked(lists, groups.item_count)
    if weights.shape != lists.shape[1:]:
        raise ShapeError("weights", weights.shape, f"({lists.shape[1]},)")
    rows = np.empty((len(lists), len(groups)))
    for block in _blocks(lists):
        users, ranks = np.nonzero(lists[block] >= 0)
        items = lists[block][users, ranks]
        rows[block] = of_items(users, items, weights[ranks], rows[block].shape[0], groups, shared=shared)
    return rows


def of_items(
    users: Ints, items: Ints, weights: Floats, user_count: int, groups: ItemGroups, *, shared: bool
) -> NDArray[np.float64]:
    """The same for single (user, item, weight) entries, each of shape (m,); the result has shape (user_count, C)."""
    counts = np.diff(groups.indptr)[items]
    first = np.repeat(groups.indptr[items] - np.cumsum(counts) + counts, counts)
    group = groups.indices[first + np.arange(len(first))]
    weight = np.repeat(weights / counts if shared else weights, counts)
    cells = np.repeat(users, counts) * len(groups) + group
    summed = np.bincount(cells, weight, user_count * len(groups)).astype(np.float64)
    return summed.reshape(user_count, len(groups))


def checked(lists: Ints, item_count: int) -> None:
    """Refuse arrays that are not lists.

    Raises:
        ShapeError: not two dimensions.
        ListsError: an item that there is none of, one twice, or an empty place before a filled one.
    """
    if lists.ndim != 2:
        raise ShapeError("lists", lists.shape, "(n, k)")
    for block in _blocks(lists):
        rows = lists[block]
        ordered = np.sort(rows, axis=1)
        wrong = {
            f"an item that is not in 0 to {item_count - 1}": (rows < -1) | (rows >= item_count),
            "an item behind an empty place": (rows[:, 1:] >= 0) & (rows[:, :-1] < 0),
            "an item twice": (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0),
        }
        for what, found in wrong.items():
            if found.any():
                raise ListsError(block.start + int(np.flatnonzero(found.any(axis=1))[0]), what)


def _blocks(lists: Ints) -> Iterator[slice]:
    size = max(1, _BLOCK_ENTRIES // max(1, lists.shape[1]))
    for start in range(0, len(lists), size):
        yield slice(start, start + size)
