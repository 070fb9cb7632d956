"""CPFair: groups of users are served about alike, and groups of items are shown about as much as they should be.

docs/algorithms/reranking.md has the equations; their numbers are in the comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from balance.candidates import Candidates, Places, check_target, difference_weights, in_order, member_shares
from balance.errors import within
from balance.prices import Sum
from balance.selection import GAP, TIME_S, select
from balance.shares import ItemShares


@dataclass(frozen=True)
class Consumers:
    """Two groups of users, and what it costs that one has better lists."""

    groups: NDArray[np.integer[Any]]
    """(n,) 0 or 1, -1 for a user who counts in neither."""
    quality: NDArray[np.floating[Any]]
    """(n, C) what each candidate adds to the quality of its user's list."""
    weight: float
    """λ1, from 0: the relevance of a whole list that one unit of the difference in mean quality is worth."""


@dataclass(frozen=True)
class Producers:
    """Groups of items, what share of the places each should have, and what it costs where it has another."""

    shares: ItemShares
    target: NDArray[np.floating[Any]]
    """(G,) a distribution."""
    weight: float
    """λ2, from 0: the relevance of a whole list that one unit of Σ |share − target| is worth."""


class TwoSidedLists(NamedTuple):
    """Lists, and how good they can be known to be."""

    places: Places
    gap: float
    """Mean quality of group 0's lists less that of group 1's; NaN without consumers."""
    deviation: float
    """Σ over item groups of |share of places − target|, in [0, 2]; NaN without producers."""
    value: float
    """Mean relevance of a list, less what gap and deviation cost."""
    bound: float
    """No lists have more."""


def two_sided(
    candidates: Candidates,
    k: int,
    consumers: Consumers | None,
    producers: Producers | None,
    *,
    gap: float = GAP,
    time_s: float = TIME_S,
) -> TwoSidedLists:
    """Choose lists that are relevant, about equally good for two groups of users, and near a target over item groups.

    Args:
        candidates: of n users.
        k: items of a list; a user with fewer candidates gets them all.
        consumers: None to leave that side out.
        producers: None to leave that side out.
        gap: how near to the best to stop, see `balance.selection`.
        time_s: when to stop in any case.

    Raises:
        OutOfRangeError, ShapeError, GroupsError: arguments that do not fit.

    Source:
        Naghiaei, Rahmani and Deldjoo, *CPFair*, SIGIR 2022: max Σ W S − λ1 DCF − λ2 DPF, K of each user. With two item
        groups and a target of one half each, Σ |share − target| is their difference in share. More groups than two, a
        target, absolute values where public code subtracts signed differences, means in place of sums so that weights
        do not depend on n, and how it is solved are ours.
    """
    candidates.check_k(k)
    filled = candidates.filled
    by_user = [] if consumers is None else [_consumer_sum(consumers, filled)]
    by_item = [] if producers is None else list(_producer_sums(producers, candidates, k))
    relevance = np.where(filled, candidates.relevance, -np.inf) / len(candidates)
    found = select(relevance, [*by_user, *by_item], k, gap, time_s)
    off = [float(each.weights[found.chosen].sum()) - each.wanted for each in (*by_user, *by_item)]
    return TwoSidedLists(
        in_order(candidates.relevance, found.chosen, k),
        off[0] if by_user else np.nan,
        float(np.abs(off[len(by_user) :]).sum()) if by_item else np.nan,
        found.value,
        found.bound,
    )


def _consumer_sum(consumers: Consumers, filled: NDArray[np.bool_]) -> Sum:
    within("weight of consumers", consumers.weight, 0, np.finfo(np.float64).max)
    return Sum(difference_weights(consumers.quality, consumers.groups, filled), 0.0, consumers.weight)


def _producer_sums(producers: Producers, candidates: Candidates, k: int) -> Iterator[Sum]:
    within("weight of producers", producers.weight, 0, np.finfo(np.float64).max)
    target = check_target(producers.target, producers.shares)
    places = np.minimum(candidates.filled.sum(axis=1), k).sum()
    table = member_shares(producers.shares) / max(1, places)
    for group, share in enumerate(target):
        yield Sum(table[candidates.items, group], float(share), producers.weight)
