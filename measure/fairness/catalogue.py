"""How much of the catalogue is shown to anybody, and how evenly attention is spread over its items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measure.errors import TooFewUsersError
from measure.fairness.items import checked, discount
from measure.scoring import Floats, Ints


def item_exposure(lists: Ints, item_count: int) -> NDArray[np.float64]:
    """Position-weighted exposure of each item over all lists, shape (I,): the sum of 1 / log2(1 + rank), rank from 1.

    Args:
        lists: shape (n, k), item rows by rank, -1 for an empty place.
        item_count: I.
    """
    checked(lists, item_count)
    users, ranks = np.nonzero(lists >= 0)
    return np.bincount(lists[users, ranks], discount(lists.shape[1])[ranks], item_count).astype(np.float64)


def coverage(exposure: Floats) -> float:
    """Share of the items that are in at least one list, in [0, 1]; 0: no list has any item, 1: none is left out.

    It grows with the number of users: compare it at the same n.

    Args:
        exposure: shape (I,), of `item_exposure`, I at least 1.

    Source:
        Ge, Delgado-Battenfeld and Jannach, RecSys 2010: catalogue coverage.
    """
    _some(exposure)
    return float((exposure > 0).mean())


def gini(exposure: Floats) -> float:
    """Gini coefficient of exposure over all items, those never shown included.

    With x_1 <= ... <= x_I it is sum_i (2 i - I - 1) x_i / (I sum_i x_i).

    Args:
        exposure: shape (I,), at least 0, I at least 1.

    Returns:
        In [0, 1 - 1/I]. 0: every item has the same exposure; the upper end: one item has it all. NaN where nothing was
        shown.

    Source:
        Fleder and Hosanagar, Management Science 55(5), 2009, on the diversity of what recommenders sell.
    """
    _some(exposure)
    ordered = np.sort(exposure.astype(np.float64))
    count, whole = len(ordered), ordered.sum()
    if whole == 0:
        return float("nan")
    return max(0.0, float((2 * np.arange(1, count + 1) - count - 1) @ ordered / (count * whole)))


def _some(exposure: Floats) -> None:
    if not len(exposure):
        raise TooFewUsersError("items of the catalogue", 0, 1)
