"""What every stage of a run trains, validates and reports on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import sample_negatives
from training.data.dataset import Dataset
from training.data.split import HeldOut

Mode = Literal["strict", "reproduce"]
Csr = tuple[NDArray[np.int64], NDArray[np.int32]]
"""indptr (U + 1,) and indices (N,)."""


@dataclass(frozen=True)
class Experiment:
    """A dataset with its held-out positives and its split of users, under one protocol."""

    dataset: Dataset
    held_out: HeldOut
    user_split: NDArray[np.uint8]
    """(U,) train, select or audit."""
    mode: Mode
    seed: int

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names in manifest order."""
        return tuple(attribute.name for attribute in self.dataset.attributes)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Classes of each attribute."""
        return tuple(len(attribute.classes) for attribute in self.dataset.attributes)

    @property
    def train(self) -> Csr:
        """Training positives."""
        return self.held_out.train_indptr, self.held_out.train_indices

    @cached_property
    def positives(self) -> Csr:
        """Positives of every split."""
        owners = np.repeat(np.arange(len(self.dataset.users)), np.diff(self.dataset.indptr))[self.dataset.positive]
        counts = np.bincount(owners, minlength=len(self.dataset.users))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), self.dataset.indices[self.dataset.positive]

    @property
    def no_negatives(self) -> Csr:
        """Items that are no negatives of a user in training.

        The reference rejects the positives of every split, held-out ones too; `strict` does not look at those.
        """
        return self.positives if self.mode == "reproduce" else self.train

    @cached_property
    def validation_negatives(self) -> NDArray[np.int32]:
        """(U, 99) items that a validation positive is ranked against.

        Drawn from items not in seen, in `reproduce` from those that are no positives (DESIGN 3).
        """
        excluded = self.positives if self.mode == "reproduce" else (self.dataset.indptr, self.dataset.indices)
        return sample_negatives(*excluded, len(self.dataset.items), seed=self.seed)
