"""K of each user's candidates, under sums over all users: equation S1 of `balance.prices`, exactly or nearly so.

At the best prices almost every user's choice is decided: to take another candidate than the K best costs its *margin*,
and no choice that costs more than the distance between the bound and the best one found can be better. So only the
candidates with small margins go to an integer program (HiGHS); all others stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from balance.errors import InfeasibleError
from balance.prices import Floats, Sum, adjusted, prices, top

FIRST, MOST = 300, 20_000
"""Candidates that are left open at first, and at most."""
GAP = 1e-6
"""How far below the best one a choice may be, as a share of its value, before the program is stopped."""
TIME_S = 10.0
"""For one integer program."""


class Selection(NamedTuple):
    """What was chosen."""

    chosen: NDArray[np.bool_]
    """(n, C)."""
    value: float
    """S1 of it."""
    bound: float
    """No choice is worth more."""


def select(relevance: Floats, sums: Sequence[Sum], k: int, gap: float = GAP, time_s: float = TIME_S) -> Selection:
    """Choose k of each user's candidates, all of them where they are fewer.

    Args:
        relevance: shape (n, C), -inf where there is no candidate.
        sums: see `Sum`; none for the k best of each user.
        k: at least 1.
        gap: see `GAP`; 0 for the best choice, whatever it takes.
        time_s: see `TIME_S`; what was found by then is returned.

    Raises:
        InfeasibleError: no choice that keeps the sums that must hold was found.
    """
    if not sums:
        chosen = top(relevance, k)
        value = float(relevance[chosen].sum())
        return Selection(chosen, value, value)
    for each in sums:
        _reachable(relevance, each, k)
    best = prices(relevance, sums, k)
    values = adjusted(relevance, sums, best.of)
    start = top(values, k)
    margins = _margins(values, start)
    ordered = np.sort(margins[np.isfinite(margins)])
    reach, most = _reach(ordered, FIRST), len(ordered)
    found: Selection | None = None
    while True:
        opened = margins <= reach
        made = _program(relevance, sums, start, opened, gap * abs(best.bound), time_s)
        if made is not None and (found is None or made.value > found.value):
            found = Selection(made.chosen, made.value, best.bound)
        whole = int(opened.sum()) >= most
        if found is not None:
            missing = best.bound - found.value
            if whole or made is None or missing <= reach:  # the time is over, or what is open holds every better choice
                return found._replace(bound=min(best.bound, max(found.value, made.bound if made else np.inf)))
            if missing <= gap * abs(found.value) or (margins <= missing).sum() > MOST:
                return found
            reach = missing
        elif whole or int(opened.sum()) > MOST:
            worst = next(each for each in sums if np.isinf(each.price))
            raise InfeasibleError(worst.wanted, worst.tolerance)
        else:
            reach = _reach(ordered, 8 * int(opened.sum()))


def _program(
    relevance: Floats,
    sums: Sequence[Sum],
    start: NDArray[np.bool_],
    opened: NDArray[np.bool_],
    near: float,
    time_s: float,
) -> Selection | None:
    """The best choice where only some candidates are open, or one worth ``near`` less; None where none is found."""
    users, places = np.nonzero(opened)
    rows, row_of = np.unique(users, return_inverse=True)
    count, m = len(users), len(sums)
    taken = np.bincount(row_of, start[opened], len(rows))
    kept = start & ~opened
    constraints = [
        LinearConstraint(
            _padded(sparse.csr_array((np.ones(count), (row_of, np.arange(count))), (len(rows), count)), m), taken, taken
        )
    ]
    costs = np.array([each.price if np.isfinite(each.price) else 0.0 for each in sums])
    for place, each in enumerate(sums):
        weights, off = each.weights[opened], float(each.weights[kept].sum()) - each.wanted
        scale = 1 / max(float(np.abs(weights).max(initial=0)), 1e-12)
        beyond = np.zeros((2, m))
        if np.isfinite(each.price):
            beyond[:, place] = [-1, 1]
        costs[place] /= scale  # what is beyond is counted in the largest weight, too
        matrix = sparse.csr_array(np.column_stack([np.tile(weights * scale, (2, 1)), beyond]))
        low, high = scale * (-each.tolerance - off), scale * (each.tolerance - off)
        constraints.append(LinearConstraint(matrix, [-np.inf, low], [high, np.inf]))
    worth = max(float(np.abs(relevance[start & opened]).sum()), 1e-12)  # what the program's own gap is a share of
    found = milp(
        np.concatenate([-relevance[opened], costs]),
        integrality=np.concatenate([np.ones(count), np.zeros(m)]),
        bounds=Bounds(0, np.concatenate([np.ones(count), np.full(m, np.inf)])),
        constraints=constraints,
        options={"mip_rel_gap": near / worth, "time_limit": time_s},
    )
    if found.x is None:
        return None
    chosen = kept.copy()
    chosen[users, places] = found.x[:count] > 0.5
    bound = float(relevance[kept].sum()) - float(found.mip_dual_bound if found.mip_dual_bound is not None else -np.inf)
    return Selection(chosen, value_of(relevance, sums, chosen), bound)


def value_of(relevance: Floats, sums: Sequence[Sum], chosen: NDArray[np.bool_]) -> float:
    """S1 of a choice; sums that must hold cost nothing."""
    value = float(relevance[chosen].sum())
    for each in sums:
        if np.isfinite(each.price):
            off = abs(float(each.weights[chosen].sum()) - each.wanted)
            value -= each.price * max(0.0, off - each.tolerance)
    return value


def _margins(values: Floats, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, C) what it costs at the prices to leave out what is chosen or take what is not; inf where neither can be."""
    there = np.isfinite(values)
    worst_in = np.where(chosen, values, np.inf).min(axis=1, keepdims=True)
    best_out = np.where(there & ~chosen, values, -np.inf).max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        margins = np.where(chosen, values - best_out, worst_in - values)
    return np.where(there & np.isfinite(best_out), np.maximum(margins, 0.0), np.inf)


def _reach(ordered: Floats, count: int) -> float:
    return float(ordered[min(count, len(ordered)) - 1]) if len(ordered) else 0.0


def _reachable(relevance: Floats, each: Sum, k: int) -> None:
    """Refuse a sum that must hold and is out of reach even where nothing else counts."""
    if np.isfinite(each.price):
        return
    there = np.isfinite(relevance)
    ends = [float(each.weights[top(np.where(there, sign * each.weights, -np.inf), k)].sum()) for sign in (-1, 1)]
    if ends[0] - each.tolerance > each.wanted or ends[1] + each.tolerance < each.wanted:
        raise InfeasibleError(each.wanted, each.tolerance, (ends[0], ends[1]))


def _padded(matrix: sparse.csr_array, columns: int) -> sparse.csr_array:
    return sparse.hstack([matrix, sparse.csr_array((matrix.shape[0], columns))], format="csr")
