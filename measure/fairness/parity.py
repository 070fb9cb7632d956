"""Whether lists show the same to every group of users, regardless of their taste.

As in `measure.fairness.exposure`, rows are per user, so that a log can bring its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.fairness.estimate import Bootstrap, Gap
from measure.fairness.groups import Groups
from measure.fairness.items import ItemGroups, checked, listed
from measure.fairness.shuffles import Shuffles
from measure.fairness.totals import divided, ends, largest, spread, totals
from measure.scoring import Floats, Ints

ALPHA = 0.5
"""Smoothing of `differential`: half a user more that an item was shown to, and half a one that it was not."""


def shown(lists: Ints, groups: ItemGroups) -> NDArray[np.float64]:
    """Whether each user has at least one item of each group in the list: 1 or 0, shape (n, C).

    An item of several groups counts for each of them.
    """
    return (listed(lists, groups, np.ones(lists.shape[1]), shared=False) > 0).astype(np.float64)


def rates(flags: Floats, groups: Groups) -> NDArray[np.float64]:
    """Share of each group's users with each of C flags, (n, C) → (G, C), in [0, 1]; NaN for a group of nobody."""
    return _rates(totals(_counted(flags), groups))


def demographic(
    flags: Floats,
    names: Sequence[str],
    groups: Groups,
    bootstrap: Bootstrap,
    shuffles: Shuffles | None = None,
) -> Gap | None:
    """Demographic parity of recommendation: max over c, g, h of |P(c shown | g) - P(c shown | h)|.

    Args:
        flags: shape (n, C), of `shown`: whether each user sees each item group among the first k.
        names: of the C item groups.
        groups: of the n users, at least two.
        bootstrap: over them.
        shuffles: of the same groups, for what chance alone gives; None to leave that out.

    Returns:
        In [0, 1]; 0: every item group is shown to the same share of every user group. Between the group that sees it
        most and the one that sees it least, of the item group where they differ most; None without two groups of users.

    Source:
        Dwork et al., ITCS 2012 (statistical parity), of the decision "item group c is in the list"; the same as
        fairlearn's ``demographic_parity_difference`` for each c.
    """
    by_group = rates(flags, groups)
    if (groups.sizes > 0).sum() < 2:
        return None

    worst = int(np.nanargmax(spread(by_group)))
    most, least = ends(by_group[:, worst])

    def between(sums: NDArray[Any]) -> NDArray[Any]:
        shown_to = _rates(sums[..., [worst, -1]])[..., 0]
        return shown_to[..., most] - shown_to[..., least]  # type: ignore[no-any-return]

    return Gap(
        bootstrap.estimate(between, _counted(flags), groups),
        (groups.names[most], groups.names[least]),
        names[worst],
        shuffles.percentile95(lambda sums: largest(spread(_rates(sums)), 1), _counted(flags)) if shuffles else None,
    )


class Differential(NamedTuple):
    """The item that groups differ most on."""

    epsilon: float
    """At least 0, without an upper bound."""
    item: int
    """Its row."""
    between: tuple[str, str]
    """The group it is shown to most, and least."""
    items: int
    """How many were looked at."""
    permutation95: float | None

    def as_row(self) -> dict[str, Any]:
        """As the card has it."""
        row = {"value": self.epsilon, "item": self.item, "between": list(self.between), "items": self.items}
        return row | ({"permutation95": self.permutation95} if self.permutation95 is not None else {})


def epsilon(counts: NDArray[Any], sizes: NDArray[Any], alpha: float = ALPHA) -> NDArray[Any]:
    """Differential fairness of each item: the largest |ln p_g - ln p_h| over two groups and both outcomes.

    p_g = (c_g + alpha) / (N_g + 2 alpha) for "shown" and (N_g - c_g + alpha) / (N_g + 2 alpha) for "not shown".

    Args:
        counts: shape (..., G, J), users of each group that item j was shown to.
        sizes: shape (..., G), users of each group.
        alpha: of the symmetric Dirichlet prior, above 0.

    Returns:
        Shape (..., J), at least 0. 0: shown to the same share of every group; e to the value is the largest ratio of
        two groups' chances. Groups of nobody are left out.

    Source:
        Foulds et al., ICDE 2020: differential fairness and its smoothed estimate; of items Islam et al., WWW 2021.
    """
    users = np.where(sizes > 0, sizes, np.nan)[..., None]
    whole = np.log(users + 2 * alpha)
    found: NDArray[Any] = np.maximum(
        spread(np.log(counts + alpha) - whole), spread(np.log(users - counts + alpha) - whole)
    )
    return found


def differential(
    lists: Ints, item_count: int, groups: Groups, at_least: int, shuffles: Shuffles | None = None
) -> Differential | None:
    """Differential fairness of the item that is worst, among those shown to at least ``at_least`` of the users.

    An item that hardly anybody is shown says nothing of groups: its ratio is that of the smoothing. None where there is
    no other. There is no interval: the largest of many ratios, drawn again, only grows.

    Args:
        lists: shape (n, k), item rows by rank, -1 for an empty place.
        item_count: I.
        groups: of the n users, at least two with users.
        at_least: users, of those in a group, that an item must be shown to.
        shuffles: of the same groups, for what chance alone gives; None to leave that out.
    """
    checked(lists, item_count)
    users, places = np.nonzero((lists >= 0) & (groups.of >= 0)[:, None])
    items = lists[users, places]
    often = np.flatnonzero(np.bincount(items, minlength=item_count) >= at_least)
    if not len(often) or (groups.sizes > 0).sum() < 2:
        return None
    column = np.full(item_count, -1)
    column[often] = np.arange(len(often))
    flags = np.zeros((len(lists), len(often)))
    kept = column[items] >= 0
    flags[users[kept], column[items[kept]]] = 1

    def of_all(sums: NDArray[Any]) -> NDArray[Any]:
        return epsilon(sums[..., :-1], sums[..., -1])

    sums = totals(_counted(flags), groups)
    found = of_all(sums)
    worst = int(found.argmax())
    chance = shuffles.percentile95(lambda each: of_all(each).max(axis=-1), _counted(flags)) if shuffles else None
    most, least = ends(_rates(sums)[:, worst])
    between = groups.names[most], groups.names[least]
    return Differential(float(found[worst]), int(often[worst]), between, len(often), chance)


def _counted(flags: Floats) -> NDArray[np.float64]:
    """A column more that counts the users."""
    return np.concatenate([flags, np.ones((len(flags), 1))], axis=1)


def _rates(sums: NDArray[Any]) -> NDArray[Any]:
    return divided(sums[..., :-1], sums[..., -1:])
