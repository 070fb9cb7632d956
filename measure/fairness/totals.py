"""Sums over the users of each group, which statistics are made from.

A *statistic* is a function of totals, shape (..., G, C): the sums of C columns over the users of each of G groups. The
users as they are give one such total; resampled users, or shuffled groups, give many, and the same function takes them
all. It may be NaN where it is not defined (nobody of a group was drawn); such draws are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import ShapeError
from measure.fairness.groups import Groups
from measure.scoring import Floats

Statistic = Callable[[NDArray[Any]], NDArray[Any]]
"""(..., G, C) totals → (...) values, or (..., M) for several at once."""


def totals(columns: Floats, groups: Groups | None = None) -> NDArray[np.float64]:
    """Sum (n, C) columns over the users of each group, or over all: shape (G, C); users in no group count nowhere."""
    fits(columns, groups)
    return np.stack([columns[rows].sum(axis=0, dtype=np.float64) for rows in members(groups, len(columns))])


def divided(above: NDArray[Any], below: NDArray[Any]) -> NDArray[Any]:
    """Quotient of two arrays; NaN where the lower one is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below != 0, above / below, np.nan)


def largest(values: NDArray[Any], axes: int) -> NDArray[Any]:
    """Largest over the last ``axes`` axes, NaN left out; NaN where nothing else is."""
    flat = values.reshape(*values.shape[: values.ndim - axes], -1)
    found = np.where(np.isnan(flat), -np.inf, flat).max(axis=-1, initial=-np.inf)
    return np.where(found == -np.inf, np.nan, found)


def spread(values: NDArray[Any]) -> NDArray[Any]:
    """Largest less smallest over the groups, (..., G, C) → (..., C), NaN left out; NaN of fewer than two."""
    known = ~np.isnan(values)
    high = np.where(known, values, -np.inf).max(axis=-2)
    low = np.where(known, values, np.inf).min(axis=-2)
    return np.where(known.sum(axis=-2) >= 2, high - low, np.nan)


def ends(values: Floats) -> tuple[int, int]:
    """Find the largest and the smallest of (G,) values, NaN left out: two different ones, even if all are equal.

    At least two are not NaN.
    """
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(-values[known], kind="stable")]
    return int(order[0]), int(order[-1])


def members(groups: Groups | None, users: int) -> list[NDArray[np.intp]]:
    """The rows of each group; of one that all n users are in where there are no groups."""
    return [np.arange(users)] if groups is None else groups.members


def fits(columns: Floats, groups: Groups | None) -> None:
    """Refuse columns that do not have one row for each user.

    Raises:
        ShapeError: they have not.
    """
    if columns.ndim != 2 or (groups is not None and len(groups.of) != len(columns)):
        raise ShapeError("columns", columns.shape, "(n, C), one row for each user that is dealt into groups")
