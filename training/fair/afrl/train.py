"""AFRL as the fair stage of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from training.base.contract import Base, RankingLoss
from training.experiment import Experiment, allowed_labels
from training.fair.afrl.config import AfrlConfig
from training.fair.afrl.networks import FairNets, afrl_network, afrl_parts
from training.fair.afrl.stage import AfrlStage
from training.fair.contract import Fair
from training.fair.select import selection
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


def train_afrl(experiment: Experiment, base: Base, config: AfrlConfig, work: Path, device: torch.device) -> Fair:
    """Train the encoder on the frozen base's contexts."""
    names, dimensions = experiment.attributes, base.users.shape[1]
    parts = afrl_parts(names, config.without)
    stage = AfrlStage(
        FairNets.create(dimensions, names, experiment.class_counts, experiment.seed, config.without),
        config,
        experiment.mode,
        base.contexts,
        allowed_labels(experiment),
        experiment.class_counts,
        RankingLoss(base, device),
        NegativeSampler(*experiment.no_negatives, len(base.items), device),
        selection(experiment, base, config.leakage_price),
        device,
    )
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)
    return Fair(base, stage.encoder, afrl_network(dimensions, len(parts)), parts, "fair")
