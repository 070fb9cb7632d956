"""Fewer items and users: those of some groups alone, and those with positives enough among each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.gather import Gathered
from training.data.raw import Table
from training.errors import DataError, first_few, shown


def of_groups(items: Table, only: Sequence[str]) -> Table:
    """Keep the items that are in exactly one of some groups, and of their groups that one; all where none is named.

    Raises:
        DataError: no item has a group of such a name.
    """
    if not only:
        return items
    known = set(items.frame["groups"].explode().drop_nulls().unique().to_list())
    for name in only:
        if name not in known:
            allowed = first_few(sorted(known)) if known else "none, since no item has a group"
            raise DataError(items.file, f"has no item of group {shown(name)}", allowed=allowed)
    named = pl.col("groups").list.set_intersection(pl.lit(pl.Series([list(only)])))
    frame = items.frame.with_columns(named).filter(pl.col("groups").list.len() == 1)
    return Table(items.file, frame, items.unit)


def among(met: Gathered, items: Table) -> Gathered:
    """Keep the interactions with items of the table, as if no others had been met."""
    listed = met.ids.is_in(items.frame["item"].implode()).to_numpy()
    kept = met.taken(listed[met.items])
    place = (np.cumsum(listed) - 1).astype(np.int32)
    return replace(kept, items=place[kept.items], ids=met.ids.filter(pl.Series(listed)))


def core_of(met: Gathered, core: int) -> Gathered:
    """Leave out users and items with fewer positives than ``core``, again and again until nobody has.

    With 1, whoever has no positive at all stays: what becomes of those is not decided here.
    """
    while core > 1:
        users, items = (np.bincount(rows[met.positive]) for rows in (met.users, met.items))
        enough = _at_least(users, core, met.users) & _at_least(items, core, met.items)
        if enough.all():
            break
        met = met.taken(enough)
    return met


def _at_least(positives: NDArray[np.int64], core: int, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether the user or item of each row has as many; one beyond the end of what was counted has none."""
    counted = np.zeros(int(rows.max(initial=-1)) + 1, np.int64)
    counted[: len(positives)] = positives
    flags: NDArray[np.bool_] = counted[rows] >= core
    return flags
