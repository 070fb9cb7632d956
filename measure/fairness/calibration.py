"""Whether a list keeps the proportions of a user's own taste, and all lists together those of the catalogue's groups.

Distributions are over C item groups; logarithms are natural.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.errors import OutOfRangeError, ShapeError
from measure.fairness.totals import divided
from measure.scoring import Floats

ALPHA = 0.01
"""Share of the wanted distribution that is mixed into the shown one, so that nothing is divided by zero."""


def user_kl(wanted: Floats, given: Floats, alpha: float = ALPHA) -> NDArray[np.float64]:
    """Calibration of each user's list: KL(p || q~), p the user's history, q the list, q~ = (1 - alpha) q + alpha p.

    Args:
        wanted: shape (n, C), how much of each item group is in the user's history; need not add up to 1.
        given: shape (n, C), how much of it is in the user's list.
        alpha: in (0, 1).

    Returns:
        Shape (n,), in [0, ln(1 / alpha)], 4.61 for .01. 0: the list has the proportions of the history; the upper end:
        nothing in common. NaN for a user without history, or with an empty list.

    Source:
        Steck, *Calibrated Recommendations*, RecSys 2018, equations 3 - 5, every item of history and list weighing the
        same; UserKL of ITFR (WWW 2024).
    """
    if wanted.shape != given.shape or wanted.ndim != 2:
        raise ShapeError("given", given.shape, f"(n, C) as wanted {wanted.shape}")
    return _kl(wanted, given, alpha)


def system_kl(exposure: Floats, alpha: float = ALPHA) -> float:
    """How far the exposure of all lists is from giving every item group the same: KL(p* || q~), p* uniform.

    Args:
        exposure: shape (C,), of `measure.fairness.exposure`, added up over users; need not add up to 1.
        alpha: in (0, 1), as in `user_kl`: without it one group that is never shown makes it infinite.

    Returns:
        In [0, ln(1 / alpha)). 0: every item group has the same exposure; NaN where nothing was shown. Groups of very
        different size cannot be at 0 without favouring the small ones.

    Source:
        SystemKL of ITFR (WWW 2024).
    """
    return float(_kl(np.ones((1, len(exposure))), exposure[None, :], alpha)[0])


def _kl(wanted: Floats, given: Floats, alpha: float) -> NDArray[np.float64]:
    if not 0 < alpha < 1:
        raise OutOfRangeError("alpha", alpha, 0, 1)
    p: NDArray[Any] = divided(wanted, wanted.sum(axis=1, keepdims=True))
    q: NDArray[Any] = divided(given, given.sum(axis=1, keepdims=True))
    ratio = divided(p, (1 - alpha) * q + alpha * p)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(ratio), np.where(np.isnan(p + q), np.nan, 0.0))
    found: NDArray[np.float64] = np.maximum(terms.sum(axis=1), 0.0)  # rounding alone can go below
    return found
