"""Lists against several held-out positives of a user, as where a random share of them is held out.

Letters: n users, k ranks, P groups of users, Q groups of items.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.errors import ShapeError
from measure.fairness.groups import Groups
from measure.fairness.items import ItemGroups, discount, of_items
from measure.fairness.totals import totals
from measure.fairness.utility import spread_of, utility
from measure.scoring import Ints


class Hits(NamedTuple):
    """Which places of users' lists hold a positive."""

    at: NDArray[np.bool_]
    """(n, k)."""
    positives: NDArray[np.int64]
    """(n,) how many positives each user has."""

    def precision(self) -> NDArray[np.float64]:
        """(n,) share of the k places that hold a positive; NaN for a user without one."""
        return self._of_users(self.at.mean(axis=1))

    def recall(self) -> NDArray[np.float64]:
        """(n,) share of the positives that are in the list; NaN for a user without one."""
        return self._of_users(self.at.sum(axis=1) / np.maximum(self.positives, 1))

    def ndcg(self) -> NDArray[np.float64]:
        """(n,) gain of the hits over that of a list with hits in front; NaN for a user without a positive.

        Source:
            Järvelin and Kekäläinen, TOIS 20(4), 2002: binary gain, log2 discount.
        """
        weights = discount(self.at.shape[1])
        best = np.concatenate([[0.0], np.cumsum(weights)])[np.minimum(self.positives, len(weights))]
        return self._of_users((self.at @ weights) / np.where(best > 0, best, 1))

    def _of_users(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.where(self.positives > 0, values, np.nan)


class Spread(NamedTuple):
    """How evenly users of every group find what they like of every item group."""

    utility: NDArray[np.float64]
    """(P, Q), in [0, 1]; NaN where nobody of the users has a positive of the items."""
    cv: float
    min: float
    ucv: float
    icv: float


def hits_of(lists: Ints, indptr: Ints, indices: Ints) -> Hits:
    """Look up lists (n, k) of item rows, -1 for an empty place, among positives as CSR with one row for each user.

    Raises:
        ShapeError: not as many users in both.
    """
    if lists.ndim != 2 or len(indptr) != len(lists) + 1:
        raise ShapeError("lists", lists.shape, f"({len(indptr) - 1}, k)")
    width = int(max(lists.max(initial=0), indices.max(initial=0))) + 1
    counts = np.diff(indptr).astype(np.int64)
    wanted = np.repeat(np.arange(len(counts)), counts) * width + indices
    shown = np.arange(len(lists))[:, None] * width + lists
    return Hits(np.isin(shown, wanted) & (lists >= 0), counts)


def spread_of_recall(lists: Ints, hits: Hits, indptr: Ints, indices: Ints, users: Groups, items: ItemGroups) -> Spread:
    """Two-sided utility and its spread: `spread_of` in `measure.fairness.utility` has the four numbers.

    utility(p, q) is the mean over users of p with a positive in q of |R n T n V_q| / |T n V_q|.

    Args:
        lists: (n, k) that ``hits`` are of.
        hits: of these positives.
        indptr: (n + 1,) positives as CSR.
        indices: the same.
        users: of the n users.
        items: of the catalogue.

    Source:
        Wang et al., *Intersectional Two-sided Fairness in Recommendation* (ITFR), WWW 2024.
    """
    n = len(lists)
    owners = np.repeat(np.arange(n), hits.positives)
    liked = of_items(owners, indices, np.ones(len(indices)), n, items, shared=False)
    who, rank = np.nonzero(hits.at)
    found = of_items(who, lists[who, rank], np.ones(len(who)), n, items, shared=False)
    has = liked > 0
    recall = np.where(has, found / np.where(has, liked, 1), 0.0)
    of_groups = utility(totals(np.concatenate([recall, has], axis=1), users))
    cv, lowest, ucv, icv = spread_of(of_groups, ~np.isnan(of_groups))
    return Spread(of_groups, float(cv), float(lowest), float(ucv), float(icv))
