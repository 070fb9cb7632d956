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
from measure.accuracy import sample_negatives
from measure.errors import MeasureError
from measure.leakage import Users, leakage
from measure.profiles import Profile
from training.base.train import Base, excluded_from_ranking, untouched_by
from training.config import RunConfig
from training.data.dataset import Dataset
from training.data.split import SELECT, TRAIN, HeldOut
from training.fair.afrl import FairNets
from training.fair.select import Validation, by_accuracy, by_accuracy_and_leakage
from training.fair.stage import AfrlStage, FairData, interaction_rows, user_rows
from training.loop import fit
from training.masks import masks_to_measure
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)

SELECTION = Profile("selection", ("logistic",), 3, 1, 1, 1, 1, fit_rows=4_000, verdict=False)
"""The attacker that chooses an epoch: cheap, run after every few epochs, on every mask."""


def train_fair(
    config: RunConfig,
    dataset: Dataset,
    held_out: HeldOut,
    user_split: NDArray[np.uint8],
    base: Base,
    work: Path,
    device: torch.device,
) -> AfrlEncoder:
    """Train AFRL on the frozen base, in the run's mode; gives the encoder of the best epoch."""
    strict = config.mode == "strict"
    names = [attribute.name for attribute in dataset.attributes]
    classes = tuple(len(attribute.classes) for attribute in dataset.attributes)
    learnable = (user_split == TRAIN)[:, None] if strict else np.True_
    data = FairData(
        users=base.users,
        items=base.items,
        labels=np.where(learnable, dataset.labels, -1).astype(np.int16),
        classes=classes,
        indptr=held_out.train_indptr,
        indices=held_out.train_indices,
    )
    nets = FairNets.create(base.users.shape[1], names, classes, config.seed)
    stage = AfrlStage(
        nets,
        config.fair,
        data,
        NegativeSampler(*untouched_by(config, dataset, held_out), len(dataset.items), device),
        user_rows if strict else interaction_rows,
        _score(config, dataset, held_out, user_split, base),
        device,
    )
    result = fit(stage, config.fair.schedule, config.seed, work / "fair.safetensors", device)
    log.info(
        "fair: validation score %.4f at epoch %d of %d, %s rows/s",
        result.progress.best_score,
        result.progress.best_epoch,
        result.progress.epoch,
        f"{result.rows_per_s:,.0f}",
    )
    return nets.encoder


def _score(
    config: RunConfig, dataset: Dataset, held_out: HeldOut, user_split: NDArray[np.uint8], base: Base
) -> Callable[[FairEncoder], float]:
    strict = config.mode == "strict"
    names = [attribute.name for attribute in dataset.attributes]
    rows = np.flatnonzero(user_split == SELECT) if strict else np.arange(len(dataset.users))
    negatives = sample_negatives(*excluded_from_ranking(config, dataset), len(dataset.items), seed=config.seed)
    validation = Validation(base.users[rows], base.items, held_out.validation[rows], negatives[rows], names)
    if not strict:
        return by_accuracy(validation, [(), tuple(names)])  # the reference's --fix_one

    labels = {name: dataset.labels[rows, index].astype(np.int64) for index, name in enumerate(names)}
    everyone = Users(audit=np.arange(len(rows)))

    def leaked(vectors: NDArray[np.float32], name: str) -> float:
        try:
            return leakage(
                vectors, labels[name], everyone, SELECTION, attribute=name, target="fair", seed=config.seed
            ).auc
        except MeasureError:  # too few select users of a class to say anything: accuracy alone decides
            return 0.5

    return by_accuracy_and_leakage(validation, masks_to_measure(names), leaked, config.fair.leakage_price)
