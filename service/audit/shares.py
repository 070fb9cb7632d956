"""Statistics of a tally of served lists: exposure of item groups by user group, and the differences of user groups.

The metrics are `measure.fairness`; its rows, one for each user, are here the sums over all lists served to that user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from measure.errors import SingleClassError, TooFewUsersError
from measure.fairness import clients, exposure, parity
from measure.fairness.clients import Clients
from measure.fairness.estimate import RESAMPLES, Bootstrap, Gap
from measure.fairness.groups import Groups, Withheld, by_class
from measure.fairness.items import UNGROUPED
from measure.fairness.shuffles import PERMUTATIONS, Shuffles
from measure.fairness.totals import totals
from measure.labels import RARE_BELOW
from service.audit.tally import Sums

SEED = 0
"""Seed of the draws: the same log gives the same answer."""
DRAWN = 50_000_000
"""Users drawn or shuffled in all; beyond, there are fewer resamples, which widens no interval but blurs its ends."""


@dataclass(frozen=True)
class GroupShares:
    """The exposure of one group of users."""

    name: str | None
    """A class of the attribute, or the common name of rare ones; a version; None for everybody."""
    users: int
    lists: int
    shares: Mapping[str, float]
    """Item group → share of the group's position-weighted exposure."""
    cold: float
    """Share of it that items have which nobody had touched; NaN where nothing was shown."""


@dataclass(frozen=True)
class Shares:
    """Exposure by user group, and the gaps between these; a gap is None where there are no two groups to compare."""

    item_groups: tuple[str, ...]
    groups: tuple[GroupShares, ...]
    total_variation: Gap | None = None
    parity: Gap | None = None
    cold: Gap | None = None
    """Of the shares of items that nobody had touched; None where none of them was shown."""
    clients: Clients | None = None
    """Of the item group that `parity` names; clients by the names of their keys, "" for no key."""
    withheld: tuple[Withheld, ...] = ()


@dataclass(frozen=True)
class Classes:
    """The labels of one attribute."""

    attribute: str
    names: Sequence[str]
    labels: NDArray[np.int64]
    """(U,) class of each user, -1 where unknown."""
    ordered: bool | None = None
    """Whether the classes stand from low to high; None: as their names say."""


def overall(sums: Sums, wanted: Sequence[str]) -> Shares:
    """Everybody together.

    Args:
        sums: of the lists.
        wanted: item groups to report; () for all.
    """
    known = _PerUser(sums, wanted)
    everybody = Groups(("everybody",), np.zeros(len(known.users), np.int64))
    return Shares(known.reported, tuple(replace(one, name=None) for one in known.shares(everybody)))


def compared(sums: Sums, wanted: Sequence[str], classes: Classes, keys: Mapping[int, str]) -> Shares:
    """Classes of users side by side; those with too few users are merged, as in an audit, or nothing is compared.

    Args:
        sums: of the lists.
        wanted: item groups to report, and to compare in `Shares.parity`; () for all. `Shares.total_variation` is
            always over all of them.
        classes: of the users that are counted.
        keys: API key → its name.
    """
    known = _PerUser(sums, wanted)
    labels = classes.labels[known.users]
    try:
        groups, merged = by_class(classes.attribute, labels, classes.names, ordered=classes.ordered)
    except (TooFewUsersError, SingleClassError) as error:
        every = tuple(classes.names)  # and not those that somebody is in: of a single user that would tell the class
        return Shares(known.reported, (), withheld=(Withheld(classes.attribute, every, f"not compared: {error}"),))
    reason = f"fewer than {RARE_BELOW} users with lists in a class: counted together"
    return _beside(known, groups, known.shares(groups), keys, tuple(replace(one, reason=reason) for one in merged))


def by_version(sums: Sums, wanted: Sequence[str], names: Sequence[str], users: int, keys: Mapping[int, str]) -> Shares:
    """Versions side by side, each over the lists that it made; no class of anybody is looked at, so none is merged.

    Args:
        sums: of `service.audit.tally.side_by_side`: a user whom two versions answered counts in both.
        wanted: as for `compared`.
        names: of the versions, in the order of the tallies.
        users: U of each tally.
        keys: API key → its name.
    """
    known = _PerUser(sums, wanted)
    if not len(known.users):
        return Shares(known.reported, ())
    each = Groups(tuple(names), known.users // users)
    large = each.sizes >= RARE_BELOW
    small = tuple(name for name, enough in zip(names, large, strict=True) if not enough)
    few = f"answered fewer than {RARE_BELOW} users: not compared"
    withheld = (Withheld("model", small, few),) if small else ()
    if large.sum() < 2:
        return Shares(known.reported, known.shares(each), withheld=withheld)
    place = np.where(large, np.cumsum(large) - 1, -1)
    groups = Groups(tuple(name for name in names if name not in small), place[each.of])
    return _beside(known, groups, known.shares(each), keys, withheld)


def _beside(
    known: _PerUser,
    groups: Groups,
    shares: tuple[GroupShares, ...],
    keys: Mapping[int, str],
    withheld: tuple[Withheld, ...],
) -> Shares:
    """The gaps between groups, beside their shares."""
    users = len(known.users)
    bootstrap = Bootstrap(users, SEED, _draws(users, RESAMPLES))
    shuffles = Shuffles(groups, SEED, permutations=_draws(users, PERMUTATIONS))
    gap = parity.demographic(known.flags, known.reported, groups, bootstrap, shuffles)
    return Shares(
        known.reported,
        shares,
        exposure.gap(known.exposure, groups, bootstrap, shuffles),
        gap,
        exposure.gap(known.cold, groups, bootstrap, shuffles) if known.cold[:, 0].any() else None,
        None if gap is None or gap.item_group is None else known.gap_by_client(groups, gap.item_group, keys),
        withheld,
    )


class _PerUser:
    """The rows added up by user."""

    def __init__(self, sums: Sums, wanted: Sequence[str]) -> None:
        self._sums = sums
        self.users, self._user_of = np.unique(sums.users, return_inverse=True)
        """(n,) users with lists; and (P,) which of them each row is."""
        names = sums.groups
        self._order = sorted(range(len(names)), key=lambda column: (names[column] == UNGROUPED, names[column]))
        self._names = tuple(names[column] for column in self._order)
        self._chosen = [place for place, name in enumerate(self._names) if not wanted or name in wanted]
        self.reported = tuple(self._names[place] for place in self._chosen)
        self.lists = self._summed(sums.lists.astype(np.float64)[:, None])[:, 0]
        """(n,)"""
        self.exposure = self._summed(sums.exposure)[:, self._order]
        """(n, C) over all item groups, reported or not: shares are of the whole."""

        self.cold = self._summed(sums.cold)
        """(n, 2) of cold items and of others."""

    @property
    def flags(self) -> NDArray[np.float64]:
        """(n, reported) share of a user's lists that have an item of a group."""
        shown = self._summed(self._sums.shown)[:, self._order][:, self._chosen]
        return shown / self.lists[:, None]

    def shares(self, groups: Groups) -> tuple[GroupShares, ...]:
        """The exposure of each group."""
        shared = exposure.shares(totals(self.exposure, groups))[:, self._chosen]
        cold = exposure.shares(totals(self.cold, groups))[:, 0]
        lists = totals(self.lists[:, None], groups)[:, 0]
        told = zip(groups.names, groups.sizes, lists, shared.tolist(), cold.tolist(), strict=True)
        return tuple(
            GroupShares(name, int(users), int(count), dict(zip(self.reported, each, strict=True)), new)
            for name, users, count, each, new in told
            if users
        )

    def gap_by_client(self, groups: Groups, item_group: str, keys: Mapping[int, str]) -> Clients:
        """Local and global gap of one item group; rows are users at one client."""
        sums = self._sums
        ids, client_of = np.unique(sums.clients, return_inverse=True)
        names = tuple(keys.get(key, f"key {key}" if key else "") for key in ids.tolist())
        flags = sums.shown[:, sums.groups.index(item_group)] / sums.lists
        return clients.gaps(flags, Groups(groups.names, groups.of[self._user_of]), Groups(names, client_of))

    def _summed(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(P, C) → (n, C)."""
        summed = np.zeros((len(self.users), rows.shape[1]))
        np.add.at(summed, self._user_of, rows)
        return summed


def _draws(users: int, at_most: int) -> int:
    return max(50, min(at_most, DRAWN // max(users, 1)))
