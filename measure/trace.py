"""How much of an attribute's scores can be read from fair vectors: a diagnostic over all users, without their labels.

A *score* is a function of u: what an attacker that learned on train users says of a class. The directions in which the
scores of all classes vary most are their coordinates. Whether a user is above the median of one is known of everybody,
labelled or not, and half of the users are on each side, so its AUC has a smaller error than that of an attribute among
audit users. It orders variants of one base as leakage does, and is no leakage: half of a score says nothing of the
attribute, so it stays over .5 where nothing leaks, and another score may find what this one does not.
Letters: n users, d columns, K scores, C coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.auc import fold, macro_auc, midranks, weighted_macro_auc
from measure.features import prepare
from measure.perceptron import probabilities
from measure.resampling import weights_of

COORDINATES = 2
"""Of the scores, at most."""
FOLDS = 3
PENALTY = 1.0
"""Of the perceptron."""
RESAMPLES = 200

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coordinates:
    """What is read."""

    above: NDArray[np.bool_]
    """(n, C) whether a user is above the median."""
    shares: Floats
    """(C,) of the scores' variance, which add up to 1."""


@dataclass(frozen=True)
class Trace:
    """One attribute under one mask."""

    n: int
    auc: float
    """Mean over the coordinates of .5 + |AUC - .5|, each by its share; in [.5, 1]."""
    ci95: tuple[float, float]
    """From resampled users."""


def coordinates(scores: Floats) -> Coordinates:
    """The leading directions of (n, K) scores; one where they have one."""
    centred = scores - scores.mean(axis=0)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    count = max(1, min(COORDINATES, int((strength > 1e-6 * strength[0]).sum())))
    along = (left * strength)[:, :count]
    variance = strength[:count] ** 2
    shares = variance / variance.sum() if variance.sum() else np.full(count, 1 / count)
    return Coordinates(np.asarray(along > np.median(along, axis=0)), shares)


def trace(vectors: NDArray[np.float32], wanted: Coordinates, seed: int) -> Trace:
    """Read each coordinate by a perceptron that learns from two thirds of the users at a time.

    Args:
        vectors: (n, d).
        wanted: of the same users.
        seed: of the thirds, the perceptrons and the resamples.

    Raises:
        NotFiniteError: NaN or infinity among the vectors.
    """
    users = prepare(vectors)
    n, count = wanted.above.shape
    truth = wanted.above.astype(np.int64)
    thirds = np.random.default_rng(seed).permutation(n) % FOLDS
    said = np.zeros((n, count))
    for third in range(FOLDS):
        held, known = np.flatnonzero(thirds == third), np.flatnonzero(thirds != third)
        base = users.rows(known)
        fitting, scored = base.scaled(base).dense, users.rows(held).scaled(base).dense
        for column in range(count):
            labels = truth[known, column]
            if labels.min() < labels.max():
                found = probabilities(fitting, labels, scored, penalty=PENALTY, members=1, seed=seed + third)
                said[held, column] = midranks(found[:, 1]) / len(held)
    aucs = np.array([macro_auc(said[:, [column]], truth[:, column]) for column in range(count)])
    aucs = np.where(np.isnan(aucs), 0.5, aucs)  # nobody is above the median of what does not vary
    sides = np.where(aucs >= 0.5, wanted.shares, -wanted.shares)
    drawn = np.concatenate(
        [
            sum(
                sides[column] * (weighted_macro_auc(said[:, [column]], truth[:, column], weights) - 0.5)
                for column in range(count)
            )
            for weights in weights_of(n, RESAMPLES, np.random.default_rng(seed))
        ]
    )
    low, high = 0.5 + np.percentile(np.nan_to_num(drawn), [2.5, 97.5])
    return Trace(n, float(fold(aucs) @ wanted.shares), (float(low), float(high)))
