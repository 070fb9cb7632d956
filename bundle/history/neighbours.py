"""A user vector from who is alike: the mean of the vectors of users whose items have like features (FMMRec).

    e_m = mean of items_m over those of the history that have modality m;  usual_m where none has it
    u = mean over m of Σ_n w_n vectors_n,   n the k users whose users_m has the largest cosine with e_m,
    w_n = max(0, cosine) over their sum;    the mean of all vectors where that is 0

The graph of users is frozen: nobody is added to it, and no label is read. The features are the filtered ones.

Source: Chen et al., TOIS 2025, fair user-user structures; docs/algorithms/fmmrec.md, M3.

Letters: U users of the graph, I items, d dimensions, M modalities, n_m numbers of a modality, k neighbours.
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
LARGEST = 1e6
"""Numbers of a vector up to this size cannot overflow."""
ROUNDING = 1e-4
"""How far from 1 a length may be."""
SIZES = ("users", "neighbours", "modalities")


@dataclass(frozen=True)
class FilteredModality:
    """One modality, as its filter leaves it; float32."""

    users: NDArray[np.float32]
    """(U, n) the mean of each user of the graph, at length 1 or 0."""
    items: NDArray[np.float32]
    """(I, n); what stands where ``present`` is False means nothing."""
    present: NDArray[np.bool_]
    """(I,) whether an item has the modality."""
    usual: NDArray[np.float32]
    """(n,) of a history in which nothing has it."""

    def mean(self, history: NDArray[np.int32]) -> NDArray[np.float64]:
        """(n,) of the item rows of a history."""
        having = np.sort(history[self.present[history]])  # one sum, whatever the order
        values = self.items[having] if len(having) else self.usual[None]
        return np.asarray(values.mean(axis=0, dtype=np.float64))

    def weights(self, mean: NDArray[np.float64], most: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows (k,) of the users nearest to a mean (n,), and what each counts, 1 together; every user if none is alike.

        Of users who are as near, those of lower rows come first. Everybody is compared in float32, whose error is at
        most half of ``slack`` (Higham 2002, eq. 3.5), and who may be among the nearest once more in float64.
        """
        direction = mean / max(float(np.linalg.norm(mean)), np.finfo(np.float64).tiny)
        about = self.users @ direction.astype(np.float32)
        slack = 4 * (len(mean) + 2) * float(np.finfo(np.float32).eps)
        least = np.partition(about, len(about) - most)[len(about) - most]
        near = np.flatnonzero(about >= least - slack)
        cosines = self.users[near].astype(np.float64) @ direction
        order = np.argsort(-cosines, kind="stable")[:most]
        near, cosines = near[order], np.maximum(cosines[order], 0)
        if not (total := cosines.sum()):
            return np.arange(len(about)), np.full(len(about), 1 / len(about))
        return near, cosines / total


class ModalNeighbours:
    """Kind ``modal_neighbours``: sizes `users` [U], `neighbours` [k], `modalities` [n_1, …, n_M]."""

    readable: ClassVar[bool] = True

    def __init__(self, vectors: NDArray[np.float32], modalities: Sequence[FilteredModality], neighbours: int) -> None:
        """Take the graph.

        Args:
            vectors: (U, d), of its users.
            modalities: M.
            neighbours: k, at most U.
        """
        self._vectors, self._modalities, self._most = vectors, tuple(modalities), neighbours

    def user_vectors(
        self, histories: Sequence[NDArray[np.int32]], item_vectors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Find who is alike; neither the order of a history nor the item vectors play a part.

        Args:
            histories: for each user the item rows; an empty one gives the zero vector.
            item_vectors: (I, d).

        Returns:
            (len(histories), d).
        """
        found = np.zeros((len(histories), self._vectors.shape[1]), np.float32)
        for place, history in enumerate(histories):
            if len(history):
                found[place] = np.mean([self._heard(each, history) for each in self._modalities], axis=0)
        return found

    def _heard(self, modality: FilteredModality, history: NDArray[np.int32]) -> NDArray[np.float64]:
        near, weights = modality.weights(modality.mean(history), self._most)
        return np.asarray(weights @ self._vectors[near])

    @property
    def network(self) -> Network:
        """How a manifest names this kind."""
        widths = [each.items.shape[1] for each in self._modalities]
        sizes = {"users": [len(self._vectors)], "neighbours": [self._most], "modalities": widths}
        return Network(kind="modal_neighbours", sizes=sizes)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors of history.safetensors."""
        arrays: dict[str, NDArray[Any]] = {"vectors": self._vectors}
        for place, each in enumerate(self._modalities):
            for name in FilteredModality.__dataclass_fields__:
                arrays[f"{name}.{place}"] = getattr(each, name)
        return arrays

    @classmethod
    def contract(cls, network: Network, dimensions: int, items: int) -> dict[str, ArraySpec]:
        """The arrays that a bundle of this kind must bring.

        Raises:
            DamagedError: sizes are missing, there is no modality, or more neighbours than users.
        """
        if network.sizes.keys() != set(SIZES):
            raise DamagedError("manifest.json", "history.sizes", sorted(SIZES), sorted(network.sizes))
        users, most = (_one(network, name) for name in ("users", "neighbours"))
        if not network.sizes["modalities"]:
            raise DamagedError("manifest.json", "history.sizes.modalities", "a size for each modality", [])
        if most > users:
            raise DamagedError("manifest.json", "history.sizes.neighbours", f"at most {users}", most)
        known = {"vectors": ArraySpec(shape=[users, dimensions], dtype="float32")}
        for place, width in enumerate(network.sizes["modalities"]):
            for name, rows in (("users", users), ("items", items)):
                known[f"{name}.{place}"] = ArraySpec(shape=[rows, width], dtype="float32")
            known[f"present.{place}"] = ArraySpec(shape=[items], dtype="bool")
            known[f"usual.{place}"] = ArraySpec(shape=[width], dtype="float32")
        return known

    @classmethod
    def load(cls, network: Network, dimensions: int, arrays: Mapping[str, NDArray[Any]]) -> ModalNeighbours:
        """From the arrays of a bundle whose shapes were checked."""
        modalities = [
            FilteredModality(**{name: arrays[f"{name}.{place}"] for name in FilteredModality.__dataclass_fields__})
            for place in range(len(network.sizes["modalities"]))
        ]
        return cls(arrays["vectors"], modalities, _one(network, "neighbours"))

    def check(self) -> None:
        """Refuse vectors that could overflow, and a graph of means that are no directions.

        Raises:
            DamagedError: names the array and the value.
        """
        if (largest := float(np.abs(self._vectors).max(initial=0))) > LARGEST:
            raise DamagedError(FILE, "vectors", f"values within ±{LARGEST:g}", largest)
        for place, each in enumerate(self._modalities):
            lengths = np.linalg.norm(each.users.astype(np.float64), axis=1)
            if (wrong := np.flatnonzero(np.minimum(np.abs(lengths - 1), lengths) > ROUNDING)).size:
                raise DamagedError(FILE, f"users.{place}", "length 1 or 0 of each row", float(lengths[wrong[0]]))


def _one(network: Network, name: str) -> int:
    """The one number of a size.

    Raises:
        DamagedError: there are several.
    """
    found = network.sizes[name]
    if len(found) != 1:
        raise DamagedError("manifest.json", f"history.sizes.{name}", "one size", found)
    return found[0]
