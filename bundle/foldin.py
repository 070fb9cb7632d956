"""A user vector from a history alone, for base models without a history encoder.

The items stay fixed and the user solves the weighted ridge regression of implicit ALS:

    u = scale · (G + weight · V_hᵀ V_h + ridge · 1)⁻¹ (1 + weight) V_hᵀ 1,   G = Vᵀ V over the catalogue

Source: Hu, Koren and Volinsky, ICDM 2008, eq. 4; weight, ridge and scale are fitted to the base's own user vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FoldIn:
    """Constants of the fold-in."""

    gram: NDArray[np.float32]
    """(d, d) VᵀV over the catalogue."""
    weight: float
    """Confidence that a seen item adds to the 1 of every item; ≥ 0."""
    ridge: float
    """Regularisation; > 0."""
    scale: float
    """Length of the base's user vectors over the length of the solution."""

    def user_vectors(
        self, histories: Sequence[NDArray[np.int32]], item_vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Fold histories into user vectors.

        Args:
            histories: for each user the item rows, any order; an empty one gives the zero vector.
            item_vectors: (I, d), the vectors that ``gram`` was made of.

        Returns:
            (len(histories), d) user vectors.
        """
        folded = np.zeros((len(histories), item_vectors.shape[1]), np.float32)
        regular = self.gram.astype(np.float64) + self.ridge * np.eye(item_vectors.shape[1])
        for row, history in enumerate(histories):
            if len(history):
                v = item_vectors[history].astype(np.float64)
                a = regular + self.weight * (v.T @ v)
                folded[row] = self.scale * np.linalg.solve(a, (1 + self.weight) * v.sum(0))
        return folded
