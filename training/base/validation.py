"""The number that chooses the best epoch of a base model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import full_ranks, ndcg_at, sampled_ranks
from measure.scoring import Scorer, Scores
from training.data.split import NOTHING
from training.experiment import Experiment, evenly, rows_of

RANKED_IN_FULL = 2_000
"""Users, at most, whose validation positive is ranked among all items, evenly spread over the rows."""


def validation_ndcg(
    experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32], own: Scores | None = None
) -> float:
    """Sampled N@10 on the validation positives, of (U, d) and (I, d) vectors or of a model's own scores."""
    rows = experiment.validated
    positive = experiment.validation[rows]
    ranks = sampled_ranks(users[rows], Scorer(items, own), positive, experiment.validation_negatives)
    return float(ndcg_at(10, ranks[ranks >= 0]).mean())


def full_validation_ndcg(experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """N@10 of validation positives among all items not in seen, of (U, d) and (I, d) vectors."""
    rows = evenly(np.flatnonzero(experiment.validation != NOTHING), RANKED_IN_FULL)
    seen = rows_of(rows, (experiment.dataset.indptr, experiment.dataset.indices))
    ranks = full_ranks(users[rows], Scorer(items), experiment.validation[rows], *seen)
    return float(ndcg_at(10, ranks).mean())
