"""Fit the fold-in: how to get a user vector like the base's own from a history alone."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from bundle import FoldIn

WEIGHTS = (0.1, 1.0, 10.0, 100.0)
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


def fit_fold_in(
    users: NDArray[np.float32],
    items: NDArray[np.float32],
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    rows: NDArray[np.int64],
) -> FoldIn:
    """Choose weight and ridge by the mean cosine to the base's vectors, then the scale by least squares.

    Args:
        users: (U, d) the base's user vectors.
        items: (I, d) item vectors.
        indptr: (U + 1,) training positives as CSR.
        indices: training positives as CSR.
        rows: user rows to fit on.

    Returns:
        The best of the grid; the ridge is relative to the mean eigenvalue of VᵀV.
    """
    gram = (items.astype(np.float64).T @ items.astype(np.float64)).astype(np.float32)
    unit = float(np.trace(gram)) / len(gram)
    chosen = [row for row in rows if indptr[row + 1] > indptr[row]][:1000]
    histories = [indices[indptr[row] : indptr[row + 1]] for row in chosen]
    wanted = users[chosen].astype(np.float64)

    def folded(weight: float, ridge: float) -> NDArray[np.float64]:
        return FoldIn(gram, weight, ridge * unit, 1.0).user_vectors(histories, items).astype(np.float64)

    def likeness(weight: float, ridge: float) -> float:
        u = folded(weight, ridge)
        lengths = np.linalg.norm(u, axis=1) * np.linalg.norm(wanted, axis=1)
        return float(((u * wanted).sum(1) / np.maximum(lengths, 1e-12)).mean())

    weight, ridge = max(product(WEIGHTS, RIDGES), key=lambda pair: likeness(*pair))
    u = folded(weight, ridge)
    return FoldIn(gram, weight, ridge * unit, float((u * wanted).sum() / max((u * u).sum(), 1e-12)))
