"""Lists balanced towards a target, made from the best items of their ranking; in the worker thread.

The ranking is cut into *pools* of one size, and each is ordered anew by `balance.calibration`, as a list of its own. So
all items come once, in one order that pages go through, and a page costs what its own pool costs (docs/decisions/0056).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from balance.calibration import calibrated, divergence
from balance.candidates import Candidates, scaled
from balance.shares import ItemShares
from balance.targets import TargetError, catalogue, named, of_items, uniform
from balance.tfrom import tfrom_pages
from bundle import Groups
from service.balance import Balance, BalancePolicy, BalanceTarget, Divergence, SharedTarget
from service.errors import StartError
from service.index import Ranking
from service.model.personal import Mask, PersonalTargets

POOL = 200
"""Items of a pool at weight 1: so many leave a tenth of the divergence on MovieLens-1M (benchmarks/results)."""
LEAST = 0.5
"""Weight up to which half of them are enough: the less a target counts, the nearer are the items that can come up."""
PAGES, MOST = 4, 400
"""A pool has so many pages at least, unless these are more items than it may have for their sake."""
REMEMBERED = 1024
"""Pages whose wishes are kept; few different ones are asked for."""
CHOSEN = 100
"""Places of a pool that are chosen one by one; the rest of it follows in the order of the ranking."""


@dataclass(frozen=True)
class Towards:
    """How to balance a page. Of a target that is the same for everybody there is one, whoever asks."""

    target: NDArray[np.float64] | None
    """(G,) a distribution over the item groups; None for that of a user, which is made from a ranking of the user's."""
    weight: float
    shares: ItemShares
    """The groups of the catalogue's items."""
    shown: int
    """Items on the pages before."""
    page: int
    """Items on the page."""
    personal: PersonalTargets | None = None
    """What makes the target of a user."""
    mask: Mask = ()
    """That the user's ranking is made under; of no use without it."""
    counted: NDArray[np.float64] | None = None
    """(G,) exposure of each group by now, where quotas are followed: shares of all exposure, by the target."""

    def made_from(self, own: NDArray[np.integer]) -> Towards:
        """With the target of a user, of whom (n,) item rows are what the fair vector ranks first."""
        assert self.personal is not None  # noqa: S101  nothing is made from a ranking otherwise
        return replace(self, target=self.personal.target(self.mask, own), personal=None)

    @cached_property
    def pool(self) -> int:
        """Items of a pool: whole pages, so that none lies in two pools."""
        wanted = max(round(POOL * max(LEAST, self.weight)), min(PAGES * self.page, MOST))
        return self.page * -(-wanted // self.page)

    @cached_property
    def first(self) -> int:
        """Place in the ranking of the first item of this page's pool."""
        return self.shown - self.shown % self.pool

    @cached_property
    def depth(self) -> int:
        """How many items of the ranking are needed: the last one tells that it goes on behind the pool."""
        return self.first + self.pool + 1


class Targets:
    """The targets of one model."""

    def __init__(self, shares: ItemShares, policy: BalancePolicy, personal: PersonalTargets | None = None) -> None:
        """Work out those that are the same for everybody.

        Args:
            shares: the groups of its items.
            policy: the operator's.
            personal: what `target` stands for where the operator has none.

        Raises:
            StartError: the operator's target names a group that no item of this bundle is in, or is none.
        """
        self._shares, self._personal = shares, personal
        self._pages: dict[tuple[BalanceTarget, float, int, int], Towards] = {}
        self._known: dict[BalanceTarget, NDArray[np.float64]] = {
            "uniform": uniform(shares),
            "catalogue": catalogue(shares),
        }
        self._quotas = self._known["catalogue"]
        if policy.shares is not None:
            try:
                self._known["target"] = self._quotas = named(shares, policy.shares)
            except TargetError as error:
                raise StartError(f"EVENHAND_BALANCE_TARGET: {error}") from error

    def shared(self, name: SharedTarget) -> NDArray[np.float64]:
        """One of them, (G,).

        Raises:
            StartError: it is the operator's, and there is none.
        """
        if name not in self._known:
            raise StartError("there is no EVENHAND_BALANCE_TARGET, which `target` stands for")
        return self._known[name]

    def towards(
        self,
        balance: Balance,
        history: Sequence[NDArray[np.integer] | Sequence[int]],
        shown: int,
        page: int,
        mask: Mask = (),
        counted: NDArray[np.float64] | None = None,
    ) -> Towards | None:
        """How to balance a page; None where there is no history to follow.

        Args:
            balance: as resolved.
            history: item rows of the user, in parts; looked at for `history` alone.
            shown: items on the pages before.
            page: items on the page.
            mask: of the request; looked at where the target is the user's own, a function of the fair vector.
            counted: (G,) what was shown by now, for `quotas`: of the operator's shares, else of those of the items.
                None for nothing.
        """
        if balance.target == "quotas":
            counted = np.zeros(len(self._shares)) if counted is None else counted
            return Towards(self._quotas, balance.weight, self._shares, shown, page, counted=counted)
        if balance.target == "history":
            parts = [np.asarray(part, np.int64) for part in history]
            target = of_items(self._shares, np.unique(np.concatenate([np.zeros(0, np.int64), *parts])))
            return None if target is None else Towards(target, balance.weight, self._shares, shown, page)
        if balance.target not in self._known:
            return Towards(None, balance.weight, self._shares, shown, page, self._personal, mask)
        asked = (balance.target, balance.weight, shown, page)
        found = self._pages.get(asked)
        if found is None:
            if len(self._pages) >= REMEMBERED:
                self._pages.clear()
            found = self._pages[asked] = Towards(self._known[balance.target], balance.weight, self._shares, shown, page)
        return found


def item_shares(groups: Sequence[Sequence[str]]) -> ItemShares:
    """The groups of a bundle's items."""
    column = Groups.of(groups)
    return ItemShares.coded(column.names, column.indptr, column.places)


def balanced(rankings: Sequence[Ranking], wanted: Sequence[Towards]) -> list[Ranking]:
    """The pages of some rankings.

    Args:
        rankings: from their beginning, `Towards.depth` items of each or all that there are.
        wanted: how to balance each.

    Returns:
        For each the page and, where the list goes on, one item more; a function of the ranking and the wish alone.
    """
    pages: dict[int, Ranking] = {}
    alike: dict[tuple[object, ...], list[int]] = {}
    for place, towards in enumerate(wanted):
        kind = (id(towards.shares), towards.pool, towards.shown, towards.page, towards.counted is None)
        alike.setdefault(kind, []).append(place)
    for places in alike.values():
        made = _pages([rankings[place] for place in places], [wanted[place] for place in places])
        pages.update(zip(places, made, strict=True))
    return [pages[place] for place in range(len(rankings))]


def _pages(rankings: Sequence[Ranking], wanted: Sequence[Towards]) -> list[Ranking]:
    """The same of one catalogue, and of pages at one place."""
    size, first, shares = wanted[0].pool, wanted[0].first, wanted[0].shares
    before = wanted[0].shown - first
    end = before + wanted[0].page
    rows, scores = np.full((len(rankings), size + 1), -1, np.int64), np.zeros((len(rankings), size + 1))
    for place, ranking in enumerate(rankings):
        found = ranking.rows[first : first + size + 1]
        rows[place, : len(found)], scores[place, : len(found)] = found, ranking.scores[first : first + size + 1]
    different = wanted[:1] if all(towards is wanted[0] for towards in wanted) else wanted
    targets = np.array([towards.target for towards in different])
    weights = np.array([towards.weight for towards in different])
    if wanted[0].counted is None:
        order = calibrated(rows[:, :size], scores[:, :size], shares, targets, weights, min(end, CHOSEN))
    else:
        order = np.concatenate([_by_quotas(*each) for each in zip(rows, scores, wanted, strict=True)])
    if end > CHOSEN:
        order = np.concatenate([order, _rest(rows[:, :size] >= 0, order, end - CHOSEN)], axis=1)
    at = np.arange(len(rows))[:, None]
    left = rows >= 0
    left[at, order] = False  # -1 is the item behind the pool, which is not there where the pool is not full
    more = left.argmax(axis=1)[:, None]
    there = order[:, before:] >= 0
    lengths = there.sum(axis=1) + left[at, more][:, 0]
    places = np.concatenate([order[:, before:], more], axis=1)
    page, scores = rows[at, places], scores[at, places]
    chosen = np.where(there, page[:, :-1], -1)
    if len(different) > 1:
        targets = np.concatenate([targets, targets])
    both = divergence(np.concatenate([rows[:, before:end], chosen]), shares, targets)
    told = [Divergence(*pair) for pair in both.reshape(2, -1).T.tolist()]
    return [
        Ranking(page[place, :length], scores[place, :length], told[place] if length else None)
        for place, length in enumerate(lengths.tolist())
    ]


def _by_quotas(rows: NDArray[np.int64], scores: NDArray[np.float64], towards: Towards) -> NDArray[np.int64]:
    """(1, n) places of a pool: of the pages up to this one, or of its first `CHOSEN`."""
    assert towards.counted is not None and towards.target is not None  # noqa: S101, PT018  what quotas are
    rows, scores = rows[None, : towards.pool], scores[None, : towards.pool]
    count = min(towards.shown - towards.first + towards.page, CHOSEN)
    candidates = Candidates(rows, scaled(scores, rows >= 0))
    least, pages = 1 - towards.weight, -(-count // towards.page)
    made = tfrom_pages(candidates, towards.shares, towards.target, towards.page, pages, towards.counted, least)
    return made[:, :count]


def _rest(filled: NDArray[np.bool_], order: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """(B, count) places that are filled and not in (B, n) ``order``, as they come; -1 where there are no more."""
    left = np.append(filled, np.zeros((len(filled), 1), np.bool_), axis=1)  # the last one is for -1
    left[np.arange(len(left))[:, None], order] = False
    places = np.argsort(~left, axis=1, kind="stable")[:, :count]
    places[np.arange(count) >= left.sum(axis=1)[:, None]] = -1
    return places
