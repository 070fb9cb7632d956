"""UOF (also called UFR): the lists of two groups of users are about equally good.

docs/algorithms/reranking.md has the equations; their numbers are in the comments.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from balance.candidates import Candidates, Places, difference_weights, in_order
from balance.errors import within
from balance.prices import Sum
from balance.selection import GAP, TIME_S, select


class UserFair(NamedTuple):
    """Lists, and how good they can be known to be."""

    places: Places
    gap: float
    """Mean quality of group 0's lists less that of group 1's."""
    value: float
    """Mean over users of the relevance of their lists."""
    bound: float
    """No lists that keep the gap have more."""


def user_fair(
    candidates: Candidates,
    quality: NDArray[np.floating[Any]],
    groups: NDArray[np.integer[Any]],
    k: int,
    epsilon: float,
    *,
    gap: float = GAP,
    time_s: float = TIME_S,
) -> UserFair:
    """Choose the most relevant lists whose mean quality differs by at most epsilon between two groups of users.

    Where ``quality`` orders a user's candidates as ``relevance`` does, the k best of each user have the most of both,
    and the gap can be closed in one way only: the better group gets worse lists. The other group gains where quality
    knows something that relevance does not, such as which candidates somebody has liked.

    Args:
        candidates: of n users.
        quality: shape (n, C), what each candidate adds to the quality of its user's list; `f1_quality` for F1@K.
        groups: shape (n,), 0 or 1, -1 for a user who counts in neither.
        k: items of a list; a user with fewer candidates gets them all.
        epsilon: largest gap, from 0, in units of quality. Kept but for 1e-6 of the largest weight of one candidate.
        gap: how near to the best to stop, see `balance.selection`.
        time_s: when to stop in any case.

    Raises:
        InfeasibleError: no lists keep the gap.
        OutOfRangeError, ShapeError, GroupsError: arguments that do not fit.

    Source:
        Li, Chen, Fu, Ge and Zhang, *User-oriented Fairness in Recommendation*, WWW 2021: max Σ W S, UGF < ε, K of each
        user, as an integer program. How it is solved, and that quality is an argument, is ours: in the paper's public
        code it is F1 on the test set, which nobody has who serves.
    """
    candidates.check_k(k)
    within("epsilon", epsilon, 0, np.inf)
    weights = difference_weights(quality, groups, candidates.filled)
    relevance = np.where(candidates.filled, candidates.relevance, -np.inf) / len(candidates)
    found = select(relevance, [Sum(weights, 0.0, np.inf, epsilon)], k, gap, time_s)
    places = in_order(candidates.relevance, found.chosen, k)
    return UserFair(places, float(weights[found.chosen].sum()), found.value, found.bound)


def f1_quality(liked: NDArray[np.bool_], positives: NDArray[np.integer[Any]], k: int) -> NDArray[np.float64]:
    """Quality whose sum over a list is F1@k: 2 / (k + positives) for a candidate that is liked, else 0; (n, C).

    Args:
        liked: shape (n, C).
        positives: shape (n,), how many items each user likes, candidates or not; users of whom none is known belong in
            no group.
        k: of the lists.
    """
    found: NDArray[np.float64] = liked * (2.0 / (k + positives))[:, None]
    return found
