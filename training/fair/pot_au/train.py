"""PoT-AU as the fair stage of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from measure.scoring import to_unit
from training.base.contract import Base
from training.experiment import Experiment
from training.fair.contract import Fair
from training.fair.named import named
from training.fair.own_labels import chosen_by_labels, refuse_own_labels
from training.fair.pot_au.config import PotAuConfig
from training.fair.pot_au.order import OrderKept
from training.fair.pot_au.stage import PotAuStage
from training.loop import fit

log = logging.getLogger(__name__)


def train_pot_au(experiment: Experiment, base: Base, config: PotAuConfig, work: Path, device: torch.device) -> Fair:
    """Move the vectors of a trained base, and export them as finished ones under the one mask that they are made for.

    Raises:
        ConfigError: as of `refuse_unfit_pot_au`.
    """
    refuse_unfit_pot_au(experiment, config)
    names = named(experiment.attributes, config.protect)
    order = OrderKept(experiment, base, config.order_items, config.order_margin)
    stage = PotAuStage(base, [experiment.labels_of(name) for name in names], order, config, device)
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: less the price %s", result)
    vectors = stage.table.vectors()
    return chosen_by_labels(base, experiment.attributes, names, to_unit(vectors) if base.cosine else vectors)


def refuse_unfit_pot_au(experiment: Experiment, config: PotAuConfig) -> None:
    """Refuse what would leave some user less protected than the bundle says.

    Raises:
        ConfigError: `strict`, whose audit users' labels may not be used; a user without a label, whose vector nothing
            would move; new users, for whom there is no vector until the next training; or no such attribute.
    """
    names = named(experiment.attributes, config.protect)
    refuse_own_labels(experiment, config.method, "fair.method", names, "moves every user by their own label")
