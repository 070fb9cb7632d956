"""Attention of user groups to item groups: shares of position-weighted exposure, and their differences.

The functions take *rows*, (n, C): what each of n users was exposed to of each of C item groups. `rows_of` makes them of
lists; a log adds up those of all the lists that were served to a user, and everything else here is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.fairness.estimate import Bootstrap, Gap
from measure.fairness.groups import Groups
from measure.fairness.items import ItemGroups, discount, listed
from measure.fairness.shuffles import Shuffles
from measure.fairness.totals import divided, largest, totals
from measure.scoring import Floats, Ints


def rows_of(lists: Ints, groups: ItemGroups) -> NDArray[np.float64]:
    """Exposure that each user's list gives to each item group: 1 / log2(1 + rank), rank from 1.

    Args:
        lists: shape (n, k), item rows by rank, -1 for an empty place.
        groups: of the items; an item of several gives each an equal share of its exposure.

    Returns:
        Shape (n, C); a row adds up to the weights of the places filled, an empty list to 0.
    """
    return listed(lists, groups, discount(lists.shape[1]), shared=True)


def shares(exposure: NDArray[Any]) -> NDArray[Any]:
    """Share of its exposure that each user group gives to each item group.

    Args:
        exposure: shape (..., G, C), sums of rows over the users of each group.

    Returns:
        The same shape, adding up to 1 over C; NaN for a group that was shown nothing.

    Source:
        docs/fairness-metrics.md, E_g(c).
    """
    return divided(exposure, exposure.sum(axis=-1, keepdims=True))


def distances(shared: NDArray[Any]) -> NDArray[Any]:
    """Total variation between every two user groups: half the sum over c of |E_g(c) - E_h(c)|.

    Args:
        shared: shape (..., G, C), of `shares`.

    Returns:
        Shape (..., G, G), in [0, 1], symmetric: the share of one group's exposure that would have to move to other item
        groups for the two to be alike. 0: the same shares; 1: nothing in common; NaN where one was shown nothing.
    """
    rows = [0.5 * np.abs(shared - shared[..., [g], :]).sum(axis=-1) for g in range(shared.shape[-2])]
    return np.stack(rows, axis=-2)


def total_variation(shared: NDArray[Any]) -> NDArray[Any]:
    """The largest of `distances`, (..., G, C) → (...); NaN where fewer than two groups were shown something."""
    several = (~np.isnan(shared).any(axis=-1)).sum(axis=-1) >= 2
    return np.where(several, largest(distances(shared), 2), np.nan)


def farthest(shared: Floats) -> tuple[int, int]:
    """Find the two groups, in order, that lie farthest apart by (G, C) shares; the first two of those that do."""
    apart = distances(shared)
    apart[np.tril_indices(len(shared))] = np.nan  # every pair once, and nobody with itself
    first, second = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
    return int(first), int(second)


def gap(rows: Floats, groups: Groups, bootstrap: Bootstrap, shuffles: Shuffles | None = None) -> Gap | None:
    """Total variation of exposure between user groups, with its interval and the pair it is between.

    Total variation is the largest difference that two groups have in the share of any set of item groups, which is that
    of those that the first group sees more of. The interval is of this difference, for this set.

    Args:
        rows: shape (n, C), of `rows_of`, or added up from a log.
        groups: of the n users, at least two.
        bootstrap: over them.
        shuffles: of the same groups, for what chance alone gives; None to leave that out.

    Returns:
        None where fewer than two groups were shown anything.
    """
    shared = shares(totals(rows, groups))
    if np.isnan(total_variation(shared)):
        return None

    first, second = farthest(shared)
    more = shared[first] > shared[second]

    def between(sums: NDArray[Any]) -> NDArray[Any]:
        found = shares(sums)
        return (found[..., first, :] - found[..., second, :])[..., more].sum(axis=-1)  # type: ignore[no-any-return]

    return Gap(
        bootstrap.estimate(between, rows, groups),
        (groups.names[first], groups.names[second]),
        permutation95=shuffles.percentile95(lambda sums: total_variation(shares(sums)), rows) if shuffles else None,
    )
