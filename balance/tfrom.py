"""TFROM: item groups get their quotas of exposure, and what that costs is about the same for every user.

docs/algorithms/reranking.md has the equations; their numbers are in the comments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from balance.candidates import Candidates, Places, check_target
from balance.errors import ShapeError, within
from balance.shares import ItemShares, discount

ROOM = 1e-9
"""Rounding that a quota may be exceeded by."""


def tfrom_offline(candidates: Candidates, shares: ItemShares, target: NDArray[np.floating[Any]], k: int) -> Places:
    """Order the lists of all users at once, rank by rank.

    At each rank the users whose lists have lost most so far choose first, the one with the earlier row at a tie. A user
    takes the most relevant candidate none of whose groups would exceed its quota, ``target`` of the exposure of all
    places; where there is none the place stays free. Free places are filled at the end, rank by rank and in the same
    order of users, with the candidate whose groups have most of their quota left.

    Args:
        candidates: of n users; relevance from 0, since losses are shares of it.
        shares: the groups of the items.
        target: shape (G,), a distribution.
        k: items of a list; a user with fewer candidates gets them all.

    Returns:
        (n, k) places, by rank. A quota is exceeded only by what fills free places.

    Raises:
        OutOfRangeError, ShapeError, GroupsError: arguments that do not fit.

    Source:
        Wu, Cao, Xu and Tan, *TFROM*, SIGIR 2021, the offline version with either of its quotas, by `target`: shares of
        the items for "uniform", of the relevance for "quality-weighted" fairness. Details were not checked against the
        paper's text: which user chooses first, and what fills free places, are ours; so is an item of several groups,
        which has to have room in each.
    """
    run = _Run(candidates, shares, k)
    weights = discount(k)
    lengths = np.minimum(candidates.filled.sum(axis=1), k)
    used = float(np.concatenate([[0.0], np.cumsum(weights)])[lengths].sum())
    quota = used * check_target(target, shares)
    shown, gained = np.zeros(len(shares)), np.zeros(len(candidates))
    places = np.full((len(candidates), k), -1, np.int64)
    for rank in range(k):
        for user in run.by_loss(gained, rank):
            if rank >= lengths[user]:
                continue
            place = run.first(user, quota - shown, weights[rank])
            if place >= 0:
                places[user, rank] = place
                gained[user] += weights[rank] * run.relevance[user, place]
                shown += weights[rank] * run.take(user, place)
    for rank in range(k):
        for user in run.by_loss(gained, k):
            if rank < lengths[user] and places[user, rank] < 0:
                place = places[user, rank] = run.roomiest(user, quota, shown)
                gained[user] += weights[rank] * run.relevance[user, place]
                shown += weights[rank] * run.take(user, place)
    return places


def tfrom_online(
    candidates: Candidates,
    shares: ItemShares,
    target: NDArray[np.floating[Any]],
    k: int,
    shown: NDArray[np.floating[Any]],
    least: float = 0.0,
) -> Places:
    """Order the lists of requests as they come, each knowing what was shown before it.

    With a request the quota of each group grows by its ``target`` of the exposure of that list. At each rank the most
    relevant candidate with room is taken; where there is none, the one whose groups have most of their quota left.
    A candidate that would leave the list below ``least`` of the nDCG of its k best is passed by: then the most relevant
    one is taken, room or not.

    Args:
        candidates: of the requests, in their order; relevance from 0.
        shares: the groups of the items.
        target: shape (G,), a distribution.
        k: items of a list.
        shown: shape (G,), exposure that was counted before the first request, as `ItemShares.exposure` counts it.
        least: in [0, 1], the quality that no list goes below. The mean of the lists so far makes losses about equal.

    Returns:
        (n, k) places, by rank.

    Raises:
        OutOfRangeError, ShapeError, GroupsError: arguments that do not fit.

    Source:
        Wu, Cao, Xu and Tan, *TFROM*, SIGIR 2021, the online version: exposure is added up over requests. ``least``, in
        place of the paper's bookkeeping of each customer, and what fills free places, are ours.
    """
    run = _Run(candidates, shares, k)
    wanted, counted = _counted(target, shown, shares, least)
    places = np.full((len(candidates), k), -1, np.int64)
    for user in range(len(candidates)):
        made = run.online(user, wanted, counted, least)
        places[user, : len(made)] = made
    return places


def tfrom_pages(
    candidates: Candidates,
    shares: ItemShares,
    target: NDArray[np.floating[Any]],
    page: int,
    pages: int,
    shown: NDArray[np.floating[Any]],
    least: float = 0.0,
) -> Places:
    """Order the first pages of each list, as if each page were a request of its own with what is left.

    Exposure falls with the rank on a page, as it is counted. A list knows what was shown before it, and nothing of the
    other ones: unlike in `tfrom_online` a row is a function of itself alone.

    Args:
        candidates: of n lists; relevance from 0.
        shares: the groups of the items.
        target: shape (G,), a distribution.
        page: items of a page.
        pages: how many, at least 1.
        shown: see `tfrom_online`.
        least: see there, of each page.

    Returns:
        (n, page * pages) places, by rank. The first pages are the same however many are asked for.

    Raises:
        OutOfRangeError, ShapeError, GroupsError: arguments that do not fit.
    """
    run = _Run(candidates, shares, page)
    places = np.full((len(candidates), page * pages), -1, np.int64)
    for user in range(len(candidates)):
        wanted, counted = _counted(target, shown, shares, least)
        made = [place for _ in range(pages) for place in run.online(user, wanted, counted, least)]
        places[user, : len(made)] = made
    return places


def _counted(
    target: NDArray[np.floating[Any]], shown: NDArray[np.floating[Any]], shares: ItemShares, least: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is wanted of each group, and a copy of what was shown."""
    within("least", least, 0, 1)
    if shown.shape != (len(shares),):
        raise ShapeError("shown", shown.shape, f"({len(shares)},)")
    return check_target(target, shares), np.array(shown, np.float64)


class _Run:
    """Which candidates are left, and which of them have room."""

    def __init__(self, candidates: Candidates, shares: ItemShares, k: int) -> None:
        candidates.check_k(k)
        filled = candidates.filled
        relevance = np.where(filled, candidates.relevance, 0.0).astype(np.float64)
        if relevance.min(initial=0.0) < 0:
            within("relevance", float(relevance.min()), 0, np.inf)
        order = np.argsort(np.where(filled, -relevance, np.inf), axis=1, kind="stable")
        self.relevance = relevance
        self._order = order  # most relevant first
        table, pattern = shares.patterns
        self._table, self._pattern = table, pattern[np.take_along_axis(candidates.items, order, axis=1)]
        self._needs = table > 0
        self._left: NDArray[np.bool_] = np.take_along_axis(filled, order, axis=1)
        self._at = np.empty_like(order)
        np.put_along_axis(self._at, order, np.arange(order.shape[1])[None], axis=1)
        sorted_relevance = np.take_along_axis(relevance, order, axis=1)
        self._weights, self._sorted = discount(k), sorted_relevance
        self._best_to = np.cumsum(sorted_relevance[:, :k] * self._weights, axis=1)

    def by_loss(self, gained: NDArray[np.float64], rank: int) -> NDArray[np.intp]:
        """Users, the ones that have lost most of what the best list would have given them by now first."""
        if rank == 0:
            return np.arange(len(gained))
        due = self._best_to[:, min(rank, self._best_to.shape[1]) - 1]
        kept = np.where(due > 0, gained / np.where(due > 0, due, 1.0), 1.0)
        return np.argsort(kept, kind="stable")

    def online(self, user: int, wanted: NDArray[np.float64], counted: NDArray[np.float64], least: float) -> list[int]:
        """T4: take the places of one list of k, or of what is left; ``counted`` grows by what is shown."""
        left = np.flatnonzero(self._left[user])[: len(self._weights)]
        weights = self._weights[: len(left)]
        quota = wanted * (counted.sum() + weights.sum())
        gained, floor = 0.0, least * float(self._sorted[user, left] @ weights) - ROOM
        made = []
        for rank, weight in enumerate(weights):
            place = self.first(user, quota - counted, weight)
            place = place if place >= 0 else self.roomiest(user, quota, counted)
            if gained + self.at_most(user, place, rank, weights) < floor:
                place = self.most_relevant(user)
            made.append(place)
            gained += weight * self.relevance[user, place]
            counted += weight * self.take(user, place)
        return made

    def first(self, user: int, room: NDArray[np.float64], weight: float) -> int:
        """The most relevant candidate all of whose groups have room; -1 where there is none."""
        fits = np.all((weight * self._table <= room + ROOM) | ~self._needs, axis=1)
        found = np.flatnonzero(self._left[user] & fits[self._pattern[user]])
        return int(self._order[user, found[0]]) if len(found) else -1

    def roomiest(self, user: int, quota: NDArray[np.float64], shown: NDArray[np.float64]) -> int:
        """The candidate whose fullest group has been shown least of its quota; the most relevant one at a tie."""
        use = np.divide(shown, quota, out=np.full(len(quota), np.inf), where=quota > 0)
        fullest = np.where(self._needs, use, -np.inf).max(axis=1)
        found = np.flatnonzero(self._left[user])
        return int(self._order[user, found[np.argmin(fullest[self._pattern[user, found]])]])

    def most_relevant(self, user: int) -> int:
        """Of those that are left."""
        return int(self._order[user, np.flatnonzero(self._left[user])[0]])

    def at_most(self, user: int, place: int, rank: int, weights: NDArray[np.float64]) -> float:
        """What this candidate at this rank, and the most relevant ones behind it, give a list."""
        left = np.array(self._left[user])
        left[self._at[user, place]] = False
        behind = self._order[user, np.flatnonzero(left)[: len(weights) - rank - 1]]
        return float(weights[rank] * self.relevance[user, place] + self.relevance[user, behind] @ weights[rank + 1 :])

    def take(self, user: int, place: int) -> NDArray[np.float64]:
        """Take a candidate out; what it is of each group, (G,)."""
        at = self._at[user, place]
        self._left[user, at] = False
        found: NDArray[np.float64] = self._table[self._pattern[user, at]]
        return found
