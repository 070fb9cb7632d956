"""What the best epoch of a base model is chosen by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import ndcg_at, sampled_ranks
from training.experiment import Experiment


def validation_ndcg(experiment: Experiment, users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
    """Sampled N@10 of (U, d) and (I, d) vectors on the validation positives."""
    ranks = sampled_ranks(users, items, experiment.validation, experiment.validation_negatives)
    return float(ndcg_at(10, ranks[ranks >= 0]).mean())
