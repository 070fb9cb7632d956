"""The number that chooses the best epoch of a base model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import full_ranks, ndcg_at, sampled_ranks
from measure.ranking import top_items
from measure.scoring import Scorer, Scores
from measure.several import hits_of
from training.data.split import NOTHING
from training.experiment import Experiment, evenly, rows_of

SHOWN = 20
"""Length of a list where shares are held out."""
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


def choosing_ndcg(experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """The number that chooses an epoch of a table: sampled N@10; where shares are held out, N@20 among all items.

    The latter ranks everything but a user's training positives, as ITFR's protocol has it.
    """
    if (shares := experiment.held_out.shares) is None:
        return validation_ndcg(experiment, users, items)
    lists = top_items(users, Scorer(items), SHOWN, experiment.train)
    ndcg = hits_of(lists, *shares.validation).ndcg()
    return float(np.nanmean(np.where(experiment.folded_in, np.nan, ndcg)))


def full_validation_ndcg(experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """N@10 of validation positives among all items not in seen, of (U, d) and (I, d) vectors."""
    rows = evenly(np.flatnonzero(experiment.validation != NOTHING), RANKED_IN_FULL)
    seen = rows_of(rows, (experiment.dataset.indptr, experiment.dataset.indices))
    ranks = full_ranks(users[rows], Scorer(items), experiment.validation[rows], *seen)
    return float(ndcg_at(10, ranks).mean())
