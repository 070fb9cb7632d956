"""The card's ``leakage.trace``: what can be read of attributes' scores from fair vectors; see `measure.trace`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.attackers import Attempt, attack
from measure.audit.subject import Subject
from measure.errors import MeasureError
from measure.features import prepare
from measure.labels import merge_rare
from measure.masks import Mask, telling_masks
from measure.profiles import Profile
from measure.split import TRAIN
from measure.trace import COORDINATES, FOLDS, Coordinates, Trace, coordinates, trace
from measure.tuning import Tuned

USERS_AT_MOST = 10_000
"""Drawn from more: their error is small enough."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """One attribute under one mask."""

    vectors: NDArray[np.float32]
    """(n, d)"""
    wanted: Coordinates
    seed: int


def traced(reading: Reading) -> Trace | None:
    """Trace; nothing where the vectors are not finite."""
    try:
        return trace(reading.vectors, reading.wanted, reading.seed)
    except MeasureError:
        return None


class Traces:
    """All readings of one audit: of user vectors, and of fair vectors for what their mask protects."""

    def __init__(
        self,
        subject: Subject,
        masks: Sequence[Mask],
        labels: Mapping[str, NDArray[np.int64]],
        profile: Profile,
        seed: int,
    ) -> None:
        """Plan.

        Args:
            subject: whose vectors are read.
            masks: under which; of them, those that lists are attacked under.
            labels: attribute → (U,) class, -1 where unknown; those of train users alone are used.
            profile: how many train users scores are learned from.
            seed: of everything that is drawn.
        """
        self._subject, self._seed = subject, seed
        population = subject.population
        train = np.flatnonzero(population.split == TRAIN)[: profile.fit_rows]
        self._train = {name: train[known[train] >= 0] for name, known in labels.items()}
        found = {name: _merged(known, self._train[name], population.in_order(name)) for name, known in labels.items()}
        self._labels = {name: merged for name, merged in found.items() if merged is not None}
        self._users = np.flatnonzero(~population.folded_in)
        if len(self._users) > USERS_AT_MOST:
            drawn = np.random.default_rng(seed).choice(self._users, USERS_AT_MOST, replace=False)
            self._users = np.sort(drawn)
        protecting = [(mask, name) for mask in telling_masks(masks) for name in mask if name in self._labels]
        self.keys: list[tuple[Mask, str]] = [*(((), name) for name in self._labels if protecting), *protecting]
        """Mask and attribute of each reading; the user vectors are first, under no mask."""

    def readings(self, settings: Mapping[str, Tuned]) -> Iterator[Reading]:
        """In the order of ``keys``."""
        wanted = {name: coordinates(self._scores(name, settings[name])) for name, _ in self._labels.items()}
        for mask, name in self.keys:
            vectors = self._subject.fair(mask) if mask else self._subject.base
            yield Reading(vectors[self._users], wanted[name], self._seed)

    def section(self, found: Sequence[Trace | None]) -> Row:
        """Shape the card's ``trace``: a row for each mask and attribute that it protects, beside the user vectors."""
        by_key = dict(zip(self.keys, found, strict=True))
        base = {name: each.auc for (mask, name), each in by_key.items() if not mask and each}
        rows = [
            {
                "sensitive": list(mask),
                "attribute": name,
                "n": each.n,
                "auc": each.auc,
                "ci95": list(each.ci95),
                **({"base_auc": base[name]} if name in base else {}),
            }
            for (mask, name), each in by_key.items()
            if mask and each
        ]
        protocol = {
            "users": "all that the base model saw, labelled or not",
            "scores": "logistic regression on u of train users, one for each class",
            "read": "whether a user is above the median of a coordinate of the scores, by a perceptron",
            "coordinates_at_most": COORDINATES,
            "folds": FOLDS,
            "seed": self._seed,
        }
        return {"protocol": protocol, "by_mask": rows}

    def _scores(self, name: str, tuned: Tuned) -> NDArray[np.float64]:
        """(n, K) what a logistic regression on u of train users says of each user."""
        vectors = prepare(self._subject.base)
        fitting = vectors.rows(self._train[name])
        scored = vectors.rows(self._users).scaled(fitting)
        labels = self._labels[name][self._train[name]]
        attempt = Attempt(fitting.scaled(fitting), labels, scored, int(labels.max()) + 1, self._seed)
        return attack("logistic", attempt, tuned.settings["logistic"])


def _merged(labels: NDArray[np.int64], train: NDArray[np.intp], ordered: bool) -> NDArray[np.int64] | None:
    """(U,) classes that train users are enough to learn; nothing where there are no two."""
    try:
        return merge_rare(labels, train, ordered=ordered).apply(labels)
    except MeasureError:
        return None
