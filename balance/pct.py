"""Personalised calibration targets: a target over item groups for each user, the system's target on average.

docs/algorithms/reranking.md has the equations; their numbers are in the comments. A re-ranker towards targets, such as
`balance.calibration`, makes the lists.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from balance.errors import GroupsError, ShapeError

MIXED = 0.01
"""Share of the system's target in each user's own shares, so that everybody can be moved towards every group."""
STEPS = 100
"""Newton steps at most; some ten are needed."""
LONGEST_STEP = 2.0
"""By how much a step may change any group's λ: the ratio of two shares then changes by less than e^4."""
ROUNDING = 1e-14
"""How much a value may differ by rounding, relative to it: near the end steps gain less."""
TOLERANCE = 1e-10
"""Largest difference between the mean of the users' targets and the system's, in any group."""


def solve_tilt(own: NDArray[np.floating[Any]], target: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Find the one tilt λ that makes users' shares the system's target on average.

    The users' targets are then those nearest to their own shares, by Σ_u KL(p_u || q_u), whose mean is the target (P2).
    λ is all that has to be kept: G numbers for any number of users, and it serves users that it was not solved with.

    Args:
        own: shape (n, G), how much of each group is in what each of n users would be shown, from 0, each row with a sum
            above 0; rows need not add up to 1.
        target: shape (G,), a distribution.

    Returns:
        λ, shape (G,), with mean 0 over the groups that the target has; -inf for the others.

    Raises:
        ShapeError, GroupsError: arguments that do not fit.

    Source:
        The task is that of Wang et al., *Two-sided Calibration for Quality-aware Responsible Recommendation*, RecSys
        2023: user targets near users' histories whose mean is the system's target. By their public code, the solver
        moves all users along one direction, how far each by a linear program, and keeps a target for each user. The
        exponential tilt, KL in place of the sum of moves, and what a fair vector finds in place of history are ours.
    """
    target = _target(own, target)
    kept = np.flatnonzero(target > 0)
    wanted = target[kept]
    logs = np.log(_mixed(own, target)[:, kept])
    tilt = np.zeros(len(kept))
    value, shares = _dual(logs, tilt, wanted)
    for _ in range(STEPS):
        off = shares.mean(axis=0) - wanted
        if np.abs(off).max() <= TOLERANCE:
            break
        curvature = np.diag(shares.mean(axis=0)) - shares.T @ shares / len(shares)
        step = np.linalg.lstsq(curvature, -off, rcond=None)[0]  # flat along (1, …, 1), which changes nothing
        step *= min(
            1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-300)
        )  # beyond it the curvature is another one
        size, slope = 1.0, float(off @ step)
        while True:  # P3 is convex: a short enough step goes down, but for what rounding makes of its value
            next_value, next_shares = _dual(logs, tilt + size * step, wanted)
            if next_value <= value + 1e-4 * size * slope + ROUNDING * abs(value) or size < 1e-6:
                break
            size /= 2
        tilt, value, shares = tilt + size * step, next_value, next_shares
    found = np.full(len(target), -np.inf)
    found[kept] = tilt - tilt.mean()
    return found


def tilted(
    own: NDArray[np.floating[Any]], tilt: NDArray[np.floating[Any]], target: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """The users' targets, p_u(c) ∝ q~_u(c) exp(λ_c) (P1): (n, G) distributions, each a function of its user alone.

    While attributes are protected, ``own`` has to be made from the fair vector of that mask, and λ and target are the
    same for everybody: the result is then a function of the fair vector alone.

    Args:
        own: shape (n, G), see `solve_tilt`; of any users.
        tilt: shape (G,), of `solve_tilt`.
        target: shape (G,), that it was solved for.
    """
    target = _target(own, target)
    if tilt.shape != target.shape:
        raise ShapeError("tilt", tilt.shape, f"({len(target)},)")
    with np.errstate(divide="ignore"):
        return _softmax(np.log(_mixed(own, target)) + tilt)


def _dual(
    logs: NDArray[np.float64], tilt: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """P3 and the targets at a tilt."""
    values = logs + tilt
    top = values.max(axis=1, keepdims=True)
    weights = np.exp(values - top)
    total = weights.sum(axis=1, keepdims=True)
    return float((np.log(total) + top).mean() - tilt @ wanted), weights / total


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(values - values.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return found


def _mixed(own: NDArray[np.floating[Any]], target: NDArray[np.float64]) -> NDArray[np.float64]:
    total = own.sum(axis=1, keepdims=True, dtype=np.float64)
    found: NDArray[np.float64] = (1 - MIXED) * (own / total) + MIXED * target
    return found


def _target(own: NDArray[np.floating[Any]], target: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    if own.ndim != 2 or not len(own) or target.shape != own.shape[1:]:
        raise ShapeError("own", own.shape, f"(n, G), n at least 1 and G as the target {target.shape}")
    if not (own >= 0).all() or not (own.sum(axis=1) > 0).all():
        raise GroupsError("own shares of some users are below 0, or all 0")
    if not (target >= 0).all() or not np.isclose(target.sum(), 1):
        raise GroupsError(f"target adds up to {target.sum():g}; a distribution is needed")
    found: NDArray[np.float64] = np.asarray(target, np.float64) / target.sum()
    return found
