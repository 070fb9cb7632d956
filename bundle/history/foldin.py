"""A user vector from a history alone, for base models without a history encoder.

The items stay fixed and the user solves the weighted ridge regression of implicit ALS:

    u = scale · (G + weight · V_hᵀ V_h + ridge · 1)⁻¹ (1 + weight) V_hᵀ 1,   G = Vᵀ V over the catalogue

Source: Hu, Koren and Volinsky, ICDM 2008, eq. 4; weight, ridge and scale are fitted to the base's own user vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bundle.errors import DamagedError
from bundle.manifest import ArraySpec, Network

FILE = "history.safetensors"
_BLOCK = 2_000_000  # numbers of item vectors held at a time: 16 MiB


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
        counts = np.fromiter(map(len, histories), np.int64, len(histories))
        indptr = np.concatenate([[0], np.cumsum(counts)])
        return self.of_rows(indptr, np.concatenate([np.zeros(0, np.int32), *histories]), item_vectors)

    def of_rows(
        self, indptr: NDArray[np.int64], indices: NDArray[np.int32], item_vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The same for histories as CSR; those of one length are solved together.

        With R = G + ridge and a history h, V_hᵀ 1 is solved for by a system as small as the history where that is
        shorter than a vector: (R + w V_hᵀ V_h)⁻¹ V_hᵀ = R⁻¹ V_hᵀ (1 + w V_h R⁻¹ V_hᵀ)⁻¹.

        Args:
            indptr: (n + 1,).
            indices: (N,) item rows.
            item_vectors: (I, d).

        Returns:
            (n, d) user vectors.
        """
        counts, varying = np.diff(indptr), len(self.gram)
        folded = np.zeros((len(counts), item_vectors.shape[1]), np.float32)
        folded[counts > 0, varying:] = 1
        regular = self.gram.astype(np.float64) + self.ridge * np.eye(varying)
        inverse = np.linalg.inv(regular)
        order = np.argsort(counts, kind="stable")
        lengths, starts = np.unique(counts[order], return_index=True)
        for length, start, end in zip(lengths.tolist(), starts, np.append(starts, len(order))[1:], strict=True):
            for block in _blocks(order[start:end], length * varying):
                history = indices[indptr[block, None] + np.arange(length)]
                v = item_vectors[history, :varying].astype(np.float64)
                if length < varying:
                    near = v @ inverse
                    small = np.eye(length) + self.weight * (near @ v.transpose(0, 2, 1))
                    u = (near * np.linalg.solve(small, np.ones((len(v), length, 1)))).sum(1)
                else:
                    a = regular + self.weight * (v.transpose(0, 2, 1) @ v)
                    u = np.linalg.solve(a, v.sum(1)[..., None])[..., 0]
                folded[block, :varying] = self.scale * (1 + self.weight) * u
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
    def contract(cls, network: Network, dimensions: int, items: int) -> dict[str, ArraySpec]:
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


def _blocks(rows: NDArray[np.intp], width: int) -> Iterator[NDArray[np.intp]]:
    """Some rows at a time; none where there is nothing in them."""
    size = max(1, _BLOCK // max(1, width))
    for start in range(0, len(rows) if width else 0, size):
        yield rows[start : start + size]
