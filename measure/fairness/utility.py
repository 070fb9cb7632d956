"""Whether every group of users finds items of every group that it would like, and how unevenly.

Held-out positives are one per user: what a user of group p would like of item group q is that one item, where it is in
q. An item of several groups counts in each of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.errors import OutOfRangeError
from measure.fairness.estimate import Bootstrap, Estimate
from measure.fairness.groups import Groups
from measure.fairness.totals import divided, totals
from measure.scoring import Floats

WORST = 4
"""MIN is the mean over one in so many groups, the worst ones."""


class TwoSided(NamedTuple):
    """Utility of P user groups by Q item groups, and its spread."""

    utility: NDArray[np.float64]
    """(P, Q), in [0, 1], NaN where too few users were measured."""
    ci95: NDArray[np.float64]
    """(P, Q, 2) ends of its 95 % interval over resampled users, NaN where there is none."""
    users: NDArray[np.int64]
    """(P, Q) users of p with a positive in q."""
    cv: Estimate
    min: Estimate
    ucv: Estimate
    icv: Estimate


def utility(sums: NDArray[Any]) -> NDArray[Any]:
    """Two-sided utility: mean over users of p with a positive in q of |R n T n V_q| / |T n V_q|, here their hit rate.

    Args:
        sums: shape (..., P, 2 Q): by user group the hits in each item group, then the positives in each.

    Returns:
        Shape (..., P, Q), in [0, 1]. 0: nobody of p finds the positive of q; NaN where nobody has one.

    Source:
        Wang et al., *Intersectional Two-sided Fairness in Recommendation* (ITFR), WWW 2024, utility(p, q)@K.
    """
    half = sums.shape[-1] // 2
    return divided(sums[..., :half], sums[..., half:])


def spread_of(values: NDArray[Any], measured: NDArray[np.bool_]) -> NDArray[Any]:
    """How unevenly utility is spread over intersections of user and item groups.

    * CV: standard deviation (of the population) over mean, over all intersections; 0: the same everywhere.
    * MIN: mean of the worst 25 % of them (rounded down, at least one).
    * UCV: for each item group the CV over user groups, then their mean; 0: user groups fare alike.
    * ICV: for each user group the CV over item groups, then their mean; 0: item groups fare alike.

    Args:
        values: shape (..., P, Q), of `utility`.
        measured: shape (P, Q), the intersections that count.

    Returns:
        Shape (..., 4) in that order; MIN in [0, 1], the others from 0 up. NaN where not defined: nothing measured, a CV
        where nobody finds anything. An item (user) group with fewer than two intersections, or without a hit in any,
        has no CV and is left out of UCV (ICV).

    Source:
        Wang et al. (ITFR), WWW 2024, section on evaluation.
    """
    kept = np.where(measured, values, np.nan)
    flat = kept.reshape(*kept.shape[:-2], -1)
    lowest = np.sort(flat, axis=-1)[..., : max(1, int(measured.sum()) // WORST)]  # NaN is sorted last
    found = [
        _variation(flat, -1),
        _mean(lowest, -1),
        _mean(_variation(kept, -2), -1),
        _mean(_variation(kept, -1), -1),
    ]
    return np.stack(found, axis=-1)


def two_sided(hits: Floats, positives: Floats, groups: Groups, at_least: int, bootstrap: Bootstrap) -> TwoSided:
    """Utility of every user group for every item group.

    Args:
        hits: shape (n,), 1 where the user's positive is among the first k, 0 where not, NaN for a user without one.
        positives: shape (n, Q), 1 where the user's positive is in item group q, else 0.
        groups: of the n users, P of them.
        at_least: users that an intersection needs to be measured.
        bootstrap: over the n users.
    """
    columns = np.concatenate([np.where(np.isnan(hits), 0.0, hits)[:, None] * positives, positives], axis=1)
    sums = totals(columns, groups)
    users = sums[:, positives.shape[1] :].astype(np.int64)
    measured = users >= at_least

    def numbers(each: NDArray[Any]) -> NDArray[Any]:
        values = utility(each)
        return np.concatenate([spread_of(values, measured), values[..., measured]], axis=-1)

    found = bootstrap.estimates(numbers, columns, groups)
    spreads, cells = found[:4], found[4:]
    ends = np.full((*measured.shape, 2), np.nan)
    ends[measured] = np.array([each.ci95 or (np.nan, np.nan) for each in cells]).reshape(-1, 2)
    return TwoSided(np.where(measured, utility(sums), np.nan), ends, users, *spreads)


class Errors(NamedTuple):
    """Of two groups of users."""

    e: float
    """E@k, in [0, 1]."""
    precision: float
    """|P@k_A - P@k_B|, in [0, 1 / k] with one positive per user."""


def errors(first: float, second: float, k: int) -> Errors:
    """Error gap of two groups by the hit rates of their users, with one held-out positive per user.

    P@k = hit rate / k, e = wrong items / recommended items = 1 - P@k, E@k = sqrt(|e_A - e_B|). 0: as many wrong items
    in both. The root makes small gaps look large (.0001 becomes .01), and with one positive P@k cannot exceed 1 / k:
    read the precision gap beside it.

    A@k, |MAE_A - MAE_B|, is left out: it is over predicted and given *ratings*. With implicit feedback there is no
    rating to be wrong about: scores have no scale, since a ranking loss is indifferent to it. Where a recommended item
    is taken as the prediction 1, the mean absolute error over a list is 1 - P@k, and A@k is the precision gap again.

    Args:
        first: hit@k of one group, in [0, 1].
        second: of another.
        k: length of the lists, at least 1.

    Source:
        Jiang and Fan (DifFaiRec), arXiv 2410.02791, E@k and A@k.
    """
    if k < 1:
        raise OutOfRangeError("k", k, 1, float("inf"))
    precision = abs(first - second) / k
    return Errors(float(np.sqrt(precision)), precision)


def _mean(values: NDArray[Any], axis: int) -> NDArray[Any]:
    there = ~np.isnan(values)
    return divided(np.where(there, values, 0.0).sum(axis=axis), there.sum(axis=axis))


def _variation(values: NDArray[Any], axis: int) -> NDArray[Any]:
    """Coefficient of variation, NaN left out; NaN where fewer than two values are, or their mean is 0."""
    mean = np.expand_dims(_mean(values, axis), axis)
    deviation = np.sqrt(_mean((values - mean) ** 2, axis))
    several = (~np.isnan(values)).sum(axis=axis) >= 2
    return np.where(several, divided(deviation, mean.squeeze(axis)), np.nan)
