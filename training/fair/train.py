"""The fair stage of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder
from bundle.networks import AfrlEncoder
from measure.errors import MeasureError
from measure.leakage import Users, leakage
from measure.profiles import Profile
from training.base.train import Base
from training.data.split import SELECT, TRAIN
from training.experiment import Experiment
from training.fair.afrl import AfrlConfig, FairNets
from training.fair.select import Validation, by_accuracy, by_accuracy_and_leakage
from training.fair.stage import AfrlStage, FairData, interaction_rows, user_rows
from training.loop import fit
from training.masks import masks_to_measure
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)

SELECTION = Profile("selection", ("logistic",), 3, 1, 1, 1, 1, fit_rows=4_000, verdict=False)
"""The attacker that chooses an epoch: cheap, run after every few epochs, on every mask."""


def train_fair(experiment: Experiment, base: Base, config: AfrlConfig, work: Path, device: torch.device) -> AfrlEncoder:
    """Train AFRL on the frozen base, in the experiment's mode; gives the encoder of the best epoch."""
    strict = experiment.mode == "strict"
    labels = experiment.dataset.labels
    learnable = (experiment.user_split == TRAIN)[:, None] if strict else np.ones_like(labels, np.bool_)
    nets = FairNets.create(base.users.shape[1], experiment.attributes, experiment.class_counts, experiment.seed)
    stage = AfrlStage(
        nets,
        config,
        FairData(
            users=base.users,
            items=base.items,
            labels=np.where(learnable, labels, np.int16(-1)),
            classes=experiment.class_counts,
            indptr=experiment.train[0],
            indices=experiment.train[1],
        ),
        NegativeSampler(*experiment.no_negatives, len(base.items), device),
        user_rows if strict else interaction_rows,
        _score(experiment, base, config.leakage_price),
        device,
    )
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)
    return nets.encoder


def _score(experiment: Experiment, base: Base, leakage_price: float) -> Callable[[FairEncoder], float]:
    names = experiment.attributes
    strict = experiment.mode == "strict"
    rows = np.flatnonzero(experiment.user_split == SELECT) if strict else np.arange(len(base.users))
    positive, negatives = experiment.held_out.validation[rows], experiment.validation_negatives[rows]
    validation = Validation(base.users[rows], base.items, positive, negatives, names)
    if not strict:
        return by_accuracy(validation, [(), names])  # the reference's --fix_one

    labels = {name: experiment.dataset.labels[rows, index].astype(np.int64) for index, name in enumerate(names)}
    everyone, seed = Users(audit=np.arange(len(rows))), experiment.seed

    def leaked(vectors: NDArray[np.float32], name: str) -> float:
        try:
            return leakage(vectors, labels[name], everyone, SELECTION, attribute=name, target="fair", seed=seed).auc
        except MeasureError:  # too few select users of a class to say anything: accuracy alone decides
            return 0.5

    return by_accuracy_and_leakage(validation, masks_to_measure(names), leaked, leakage_price)
