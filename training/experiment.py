"""The data that every stage of a run trains, validates and reports on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import sample_negatives
from measure.split import TRAIN
from training.data.dataset import Dataset
from training.data.split import NOTHING, Csr, HeldOut, draw_new_users

Mode = Literal["strict", "reproduce"]
VALIDATED_AT_MOST = 50_000
"""Users whose validation positive is ranked among sampled negatives: with them an N@10 is known to ± .003."""


@dataclass(frozen=True)
class Experiment:
    """A dataset with its held-out positives and its split of users, under one protocol."""

    dataset: Dataset
    held_out: HeldOut
    user_split: NDArray[np.uint8]
    """(U,) train, select or audit."""
    mode: Mode
    seed: int
    new_users: float = 0.0
    """Share of all users, taken from the audit users, that training never meets: they are folded in afterwards."""
    split_salt: str = ""
    """Of the draw of those."""

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names in manifest order."""
        return tuple(attribute.name for attribute in self.dataset.attributes)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Classes of each attribute."""
        return tuple(len(attribute.classes) for attribute in self.dataset.attributes)

    def labels_of(self, name: str) -> NDArray[np.int64]:
        """(U,) class of each user, -1 where unknown."""
        return self.dataset.labels[:, self.attributes.index(name)].astype(np.int64)

    @cached_property
    def ordered(self) -> dict[str, bool]:
        """Of each attribute, whether its classes have an order."""
        return {each.name: each.ordered for each in self.dataset.attributes}

    @cached_property
    def folded_in(self) -> NDArray[np.bool_]:
        """(U,) users that are left out of training altogether; their u is folded in from their training positives."""
        return draw_new_users(self.dataset.users, self.user_split, self.split_salt, self.new_users)

    @cached_property
    def train(self) -> Csr:
        """Training positives; folded-in users have none."""
        return without(self.folded_in, (self.held_out.train_indptr, self.held_out.train_indices))

    @cached_property
    def validation(self) -> NDArray[np.int32]:
        """(U,) item row of the positive that epochs are chosen by, -1 for none; folded-in users have none."""
        return np.where(self.folded_in, np.int32(NOTHING), self.held_out.validation)

    @cached_property
    def positives(self) -> Csr:
        """Positives of every split; folded-in users have none."""
        owners = np.repeat(np.arange(len(self.dataset.users)), np.diff(self.dataset.indptr))[self.dataset.positive]
        counts = np.bincount(owners, minlength=len(self.dataset.users))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return without(self.folded_in, (indptr, self.dataset.indices[self.dataset.positive]))

    @property
    def no_negatives(self) -> Csr:
        """Items that are no negatives of a user in training.

        AFRL's reference rejects the positives of every split, held-out ones too; `strict` does not look at those, and
        neither does the reference whose protocol holds out shares (ITFR).
        """
        return self.positives if self.mode == "reproduce" and self.held_out.shares is None else self.train

    @cached_property
    def validated(self) -> NDArray[np.int64]:
        """(V,) rows of the users that are validated on: all, or `VALIDATED_AT_MOST` of those with a positive."""
        users = len(self.dataset.users)
        if users <= VALIDATED_AT_MOST:
            return np.arange(users)
        return evenly(np.flatnonzero(self.validation != NOTHING), VALIDATED_AT_MOST)

    @cached_property
    def validation_negatives(self) -> NDArray[np.int32]:
        """(V, 99) items that the validation positives of ``validated`` are ranked against.

        Drawn from items not in seen, in `reproduce` from those that are no positives.
        """
        seen = without(self.folded_in, (self.dataset.indptr, self.dataset.indices))
        excluded = self.positives if self.mode == "reproduce" else seen
        return sample_negatives(*rows_of(self.validated, excluded), len(self.dataset.items), seed=self.seed)

    def validation_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Positives (n,) and negatives (n, 99) of some users; a positive of -1 for those that are not validated on."""
        place = np.searchsorted(self.validated, rows).clip(max=len(self.validated) - 1)
        there = self.validated[place] == rows
        return np.where(there, self.validation[rows], np.int32(NOTHING)), self.validation_negatives[place]


def allowed_labels(experiment: Experiment) -> NDArray[np.int16]:
    """(U, M) labels that fitting may use: in `strict` those of train users, -1 elsewhere."""
    labels = experiment.dataset.labels
    if experiment.mode == "reproduce":
        return labels
    return np.where((experiment.user_split == TRAIN)[:, None], labels, np.int16(-1))


def evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """All of the rows, or so many of them, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def rows_of(users: NDArray[np.int64], rows: Csr) -> Csr:
    """The rows of some users, (n,), in that order."""
    indptr, indices = rows
    counts = np.diff(indptr)[users]
    kept = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return kept, indices[np.repeat(indptr[users] - kept[:-1], counts) + np.arange(kept[-1])]


def without(users: NDArray[np.bool_], rows: Csr) -> Csr:
    """The same rows, those of the flagged users empty."""
    if not users.any():
        return rows
    indptr, indices = rows
    counts = np.diff(indptr)
    kept = np.concatenate([[0], np.cumsum(np.where(users, 0, counts))]).astype(np.int64)
    return kept, indices[np.repeat(~users, counts)]
