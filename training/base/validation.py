"""What the best epoch of a base model is chosen by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import ndcg_at, sampled_ranks
from measure.scoring import Scorer, Scores
from training.experiment import Experiment


def validation_ndcg(
    experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32], own: Scores | None = None
) -> float:
    """Sampled N@10 on the validation positives, of (U, d) and (I, d) vectors or of a model's own scores."""
    ranks = sampled_ranks(users, Scorer(items, own), experiment.validation, experiment.validation_negatives)
    return float(ndcg_at(10, ranks[ranks >= 0]).mean())
