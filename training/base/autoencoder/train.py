"""An autoencoder base: vectors of all users are read from their rows, as serving reads them from a history."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from training.base.autoencoder.autorec import AutorecModel
from training.base.autoencoder.config import AutorecConfig, DiffrecConfig, FairganConfig, MultvaeConfig
from training.base.autoencoder.diffrec import DiffrecModel
from training.base.autoencoder.fairgan import FairganModel
from training.base.autoencoder.model import RowModel
from training.base.autoencoder.multvae import MultvaeModel
from training.base.autoencoder.stage import Rows, RowsStage
from training.base.contract import Base, Contexts
from training.base.validation import choosing_ndcg
from training.experiment import Experiment
from training.loop import fit

RowConfig = AutorecConfig | MultvaeConfig | DiffrecConfig | FairganConfig

log = logging.getLogger(__name__)


def train_autoencoder(
    experiment: Experiment,
    config: RowConfig,
    checkpoint: Path,
    device: torch.device,
) -> Base:
    """Train on the training positives; folded-in users take no part, their history is read as any other."""
    model = _model(len(experiment.dataset.items), config, torch.Generator().manual_seed(experiment.seed)).to(device)
    users = range(len(experiment.dataset.users))
    known = [experiment.held_out.history(user) for user in users]

    def validate() -> float:
        model.settle()
        items = model.item_vectors()
        return choosing_ndcg(experiment, model.network.user_vectors(known, items), items)

    rows = Rows(experiment.train, len(experiment.dataset.items), device)
    result = fit(RowsStage(model, config, rows, validate), config.schedule, experiment.seed, checkpoint, device)
    log.info("base: validation N@10 %s" if experiment.held_out.shares is None else "base: validation %s", result)

    model.settle()
    items = model.item_vectors()
    history = type(model.network).load(model.network.network, config.dimensions, model.network.arrays())
    selection = history.user_vectors(known, items)
    return Base(
        config.model,
        users=history.user_vectors([experiment.held_out.history(user, with_validation=True) for user in users], items),
        selection=selection,
        items=items,
        contexts=Contexts(selection, np.arange(len(selection)), *experiment.train),
        history=history,
        constants=config.constants,
    )


def _model(items: int, config: RowConfig, rng: torch.Generator) -> RowModel:
    match config:
        case AutorecConfig():
            return AutorecModel(items, config, rng)
        case MultvaeConfig():
            return MultvaeModel(items, config, rng)
        case DiffrecConfig():
            return DiffrecModel(items, config, rng)
        case FairganConfig():
            return FairganModel(items, config, rng)
