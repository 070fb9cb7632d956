"""Prices of sums: the dual of choosing K of each user's candidates, under sums over all users.

    max  Σ r W − Σ_m price_m · max(0, |A_m · W − wanted_m| − tolerance_m)    (S1)
         W (n, C) of 0 and 1, K of each row

A price μ_m for what a choice adds to sum m, |μ_m| ≤ price_m, takes the users apart: each takes the K best by
r − Σ μ_m A_m. For any prices

    D(μ) = Σ_u top-K of (r − Σ μ_m A_m)_u + Σ_m (μ_m wanted_m + tolerance_m |μ_m|)    (S2)

is at least S1, and its least value is that of the linear relaxation. D is convex and made of planes; each choice of the
users gives one, and the lowest point under the planes seen so far says which prices to try next (Kelley, *The
Cutting-Plane Method for Solving Convex Programs*, SIAM 1960), by HiGHS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Floats = NDArray[np.floating[Any]]
ROUNDS = 400
"""Planes at most. One sum needs some ten, twenty sums a hundred or two."""
CLOSE = 1e-7
"""How far above the least value prices may be left, as a share of it."""
WIDEN = 10.0
"""Sums that must hold have no largest price: it is raised so often as prices stand at it."""
WIDENED = 6


class Sum(NamedTuple):
    """A sum over all that is chosen, and what it should be."""

    weights: Floats
    """(n, C) what each candidate adds, if chosen; 0 where there is none."""
    wanted: float
    price: float
    """Of one unit beyond the tolerance, from 0; infinite where the sum must be within."""
    tolerance: float = 0.0
    """From 0."""


class Prices(NamedTuple):
    """Where the dual is least, or near it."""

    of: NDArray[np.float64]
    """(m,) of the sums."""
    bound: float
    """D there: no choice is worth more."""


def prices(relevance: Floats, sums: Sequence[Sum], k: int) -> Prices:
    """Find prices at which D is least, but for `CLOSE`.

    Args:
        relevance: shape (n, C), -inf where there is no candidate.
        sums: at least one.
        k: of each user.
    """
    finite = np.array([each.price for each in sums])
    largest = np.where(np.isfinite(finite), finite, 10 * _first_box(relevance, sums))
    tolerance = np.array([each.tolerance for each in sums])
    planes: list[tuple[float, NDArray[np.float64]]] = []
    best = Prices(np.zeros(len(sums)), np.inf)
    at = np.zeros(len(sums))
    widened = 0
    for _ in range(ROUNDS):
        worth, off = _choice(relevance, sums, at, k)
        planes.append((worth, off))
        value = worth - float(at @ off) + float(tolerance @ np.abs(at))
        if value < best.bound:
            best = Prices(at, value)
        at, lowest = _lowest(planes, tolerance, largest)
        if best.bound - lowest > CLOSE * max(1e-12, abs(best.bound)):
            continue
        stands = ~np.isfinite(finite) & (np.abs(at) > 0.999 * largest)
        if not stands.any() or widened == WIDENED:
            break
        largest, widened = np.where(stands, largest * WIDEN, largest), widened + 1
        at, _ = _lowest(planes, tolerance, largest)
    return best


def adjusted(relevance: Floats, sums: Sequence[Sum], at: Floats) -> NDArray[np.float64]:
    """Relevance less what each candidate costs at prices (m,): (n, C)."""
    found = np.array(relevance, np.float64)
    for price, each in zip(at, sums, strict=True):
        if price:
            found -= price * each.weights
    return found


def top(values: Floats, k: int) -> NDArray[np.bool_]:
    """(n, C) the k largest of each row that are finite; ties by place."""
    chosen = np.zeros(values.shape, np.bool_)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    np.put_along_axis(chosen, order, np.isfinite(np.take_along_axis(values, order, axis=1)), axis=1)
    return chosen


def _choice(relevance: Floats, sums: Sequence[Sum], at: Floats, k: int) -> tuple[float, NDArray[np.float64]]:
    """What users take at some prices: its relevance, and how far each sum is from what is wanted."""
    chosen = top(adjusted(relevance, sums, at), k)
    return float(relevance[chosen].sum()), np.array([float(each.weights[chosen].sum()) - each.wanted for each in sums])


def _lowest(
    planes: Sequence[tuple[float, Any]], tolerance: Floats, largest: Floats
) -> tuple[NDArray[np.float64], float]:
    """Prices at the lowest point under all planes, and how low it is."""
    m = len(largest)
    off = np.array([each for _, each in planes])
    # θ ≥ worth − (p − q) · off, where p and q are the positive and the negative parts of the prices
    found = linprog(
        np.concatenate([tolerance, tolerance, [1.0]]),
        A_ub=np.column_stack([-off, off, -np.ones(len(planes))]),
        b_ub=-np.array([worth for worth, _ in planes]),
        bounds=[*((0.0, each) for each in largest)] * 2 + [(None, None)],
        method="highs",
    )
    return found.x[:m] - found.x[m : 2 * m], float(found.fun)


def _first_box(relevance: Floats, sums: Sequence[Sum]) -> NDArray[np.float64]:
    """A price that outweighs differences in relevance: their range over the mean weight."""
    finite = relevance[np.isfinite(relevance)]
    spread = float(np.ptp(finite)) if len(finite) else 0.0
    return np.array([max(spread, 1e-12) / max(float(np.abs(each.weights).mean()), 1e-12) for each in sums])
