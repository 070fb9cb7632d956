"""A user vector from a history alone, for base models without a history encoder.

The items stay fixed and the user solves the weighted ridge regression of implicit ALS:

    u = scale · (G + weight · V_hᵀ V_h + ridge · 1)⁻¹ (1 + weight) V_hᵀ 1,   G = Vᵀ V over the catalogue

Source: Hu, Koren and Volinsky, ICDM 2008, eq. 4; weight, ridge and scale are fitted to the base's own user vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bundle.errors import DamagedError
from bundle.manifest import ArraySpec, Network

FILE = "history.safetensors"


@dataclass(frozen=True)
class FoldIn:
    """Constants of the fold-in; the order of a history plays no part.

    Constant dimensions (the manifest's, c of them) stay outside the equations: a folded vector has ones there.
    """

    readable: ClassVar[bool] = True

    gram: NDArray[np.float32]
    """(d - c, d - c) VᵀV over the catalogue."""
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
            item_vectors: (I, d); ``gram`` was made of the first d - c dimensions.

        Returns:
            (len(histories), d) user vectors.
        """
        folded = np.zeros((len(histories), item_vectors.shape[1]), np.float32)
        varying = len(self.gram)
        regular = self.gram.astype(np.float64) + self.ridge * np.eye(varying)
        for row, history in enumerate(histories):
            if len(history):
                v = item_vectors[history, :varying].astype(np.float64)
                a = regular + self.weight * (v.T @ v)
                folded[row, varying:] = 1
                folded[row, :varying] = self.scale * np.linalg.solve(a, (1 + self.weight) * v.sum(0))
        return folded

    @property
    def network(self) -> Network:
        """How a manifest names this kind."""
        return Network(kind="fold_in", sizes={})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors of history.safetensors."""
        constants = np.array([self.weight, self.ridge, self.scale], np.float64)
        return {"gram": self.gram, "constants": constants}

    @classmethod
    def contract(cls, network: Network, dimensions: int) -> dict[str, ArraySpec]:
        """The arrays that a bundle of this kind must bring."""
        gram = ArraySpec(shape=[dimensions, dimensions], dtype="float32")
        return {"gram": gram, "constants": ArraySpec(shape=[3], dtype="float64")}

    @classmethod
    def load(cls, network: Network, dimensions: int, arrays: Mapping[str, NDArray[Any]]) -> FoldIn:
        """From the arrays of a bundle whose shapes were checked."""
        weight, ridge, scale = (float(value) for value in arrays["constants"])
        return cls(arrays["gram"], weight, ridge, scale)

    def check(self) -> None:
        """Refuse constants that leave some history without a solution.

        Raises:
            DamagedError: names both values.
        """
        if not (self.weight >= 0 and self.ridge > 0):
            raise DamagedError(FILE, "constants", "weight ≥ 0 and ridge > 0", [self.weight, self.ridge])
        gram = self.gram.astype(np.float64)
        lowest = np.linalg.eigvalsh((gram + gram.T) / 2)[0] + self.ridge
        if not lowest > 0:
            raise DamagedError(FILE, "gram", "solvable: gram + ridge positive definite", f"an eigenvalue of {lowest:g}")
