"""What a list is to be like: distributions over item groups.

`uniform`, `catalogue` and `named` are the same for everybody. `of_items` of a user's history is not: a list that
follows it shows what the history shows, whatever was withheld from the vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from balance.shares import ItemShares


class TargetError(ValueError):
    """These shares are no target over the item groups."""


def uniform(shares: ItemShares) -> NDArray[np.float64]:
    """Every group the same; (G,)."""
    return np.full(len(shares), 1.0 / max(1, len(shares)))


def catalogue(shares: ItemShares) -> NDArray[np.float64]:
    """Each group as much as its share of the items; (G,)."""
    items = len(shares.columns) - 1
    found = of_items(shares, np.arange(items))
    return np.zeros(len(shares)) if found is None else found


def named(shares: ItemShares, wanted: Mapping[str, float]) -> NDArray[np.float64]:
    """Shares by name, brought to a sum of 1; groups that are not named get nothing; (G,).

    Raises:
        TargetError: a group that no item is in, a share that is negative or not finite, or no share above 0.
    """
    if unknown := [name for name in wanted if name not in shares.names]:
        raise TargetError(f"no item is in {', '.join(map(repr, unknown[:5]))}; groups are {', '.join(shares.names)}")
    for name, share in wanted.items():
        if not (isfinite(share) and share >= 0):
            raise TargetError(f"the share of {name!r} is {share}; it must be 0 or more")
    total = sum(wanted.values())
    if not 0 < total < float("inf"):
        raise TargetError(f"the shares add up to {total}; they must add up to more than 0")
    return np.array([wanted.get(name, 0.0) / total for name in shares.names])


def of_items(shares: ItemShares, rows: NDArray[np.integer]) -> NDArray[np.float64] | None:
    """The groups of some items, every item weighing the same; (G,). None where there is no item."""
    if not len(rows):
        return None
    columns = shares.columns[rows]
    weights = np.repeat(shares.kinds[shares.kind[rows]], columns.shape[1])
    summed = np.bincount(columns.reshape(-1), weights, len(shares) + 1)[:-1].astype(np.float64)
    found: NDArray[np.float64] = summed / summed.sum()
    return found
