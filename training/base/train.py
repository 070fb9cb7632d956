"""The base stage of a run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FoldIn
from measure.accuracy import ndcg_at, sampled_ranks
from training.base.foldin import fit_fold_in
from training.base.pmf import Pmf, PmfConfig, PmfStage
from training.data.split import SELECT
from training.experiment import Experiment
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """A trained base model: frozen from here on."""

    users: NDArray[np.float32]
    """(U, d)."""
    items: NDArray[np.float32]
    """(I, d)."""
    fold_in: FoldIn


def train_base(experiment: Experiment, config: PmfConfig, work: Path, device: torch.device) -> Base:
    """Train the base on the training positives; the best epoch is chosen by sampled N@10 on validation positives.

    Folded-in users take no part in either; their vector comes from their history, as for a user who is new in serving.
    """

    def validate(users: NDArray[np.float32], items: NDArray[np.float32]) -> float:
        ranks = sampled_ranks(users, items, experiment.validation, experiment.validation_negatives)
        return float(ndcg_at(10, ranks[ranks >= 0]).mean())

    users, items = len(experiment.dataset.users), len(experiment.dataset.items)
    model = Pmf(users, items, config, experiment.seed).to(device)
    sampler = NegativeSampler(*experiment.no_negatives, items, device)
    stage = PmfStage(model, config, *experiment.train, sampler, validate)
    result = fit(stage, config.schedule, experiment.seed, work / "base.safetensors", device)
    log.info("base: validation N@10 %s", result)

    user_vectors, item_vectors = model.users.detach().cpu().numpy().copy(), model.items.detach().cpu().numpy()
    select = np.flatnonzero(experiment.user_split == SELECT)
    fold_in = fit_fold_in(user_vectors, item_vectors, *experiment.train, select)
    held_out, new = experiment.held_out, np.flatnonzero(experiment.folded_in)
    indptr, indices = held_out.train_indptr, held_out.train_indices
    histories = [indices[indptr[row] : indptr[row + 1]] for row in new]
    user_vectors[new] = fold_in.user_vectors(histories, item_vectors)
    return Base(user_vectors, item_vectors, fold_in)
