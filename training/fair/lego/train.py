"""LEGO as the fair stage of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from bundle import Network, build_encoder
from bundle.networks import CalibratedEncoder
from bundle.networks.calibrated import calibrated_parts
from training.base.contract import Base, RankingLoss
from training.experiment import Experiment, allowed_labels
from training.fair.contract import Fair
from training.fair.lego.config import LegoConfig
from training.fair.lego.stage import LegoStage
from training.fair.lego.step import LegoNets
from training.fair.select import selection
from training.fair.standardise import standardise
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


def train_lego(experiment: Experiment, base: Base, config: LegoConfig, work: Path, device: torch.device) -> Fair:
    """Train calibrators and weights on the frozen base's contexts."""
    names, dimensions = experiment.attributes, base.users.shape[1]
    network = Network(kind="calibrated", sizes={"calibrator": [dimensions, config.hidden, dimensions]})
    parts = calibrated_parts(names)
    encoder = build_encoder(network, dimensions, names, parts)
    assert isinstance(encoder, CalibratedEncoder)  # noqa: S101  the kind says so
    standardise(encoder, base)
    stage = LegoStage(
        LegoNets.create(encoder, dimensions, experiment.class_counts, experiment.seed),
        config,
        experiment.mode,
        base.contexts,
        allowed_labels(experiment),
        RankingLoss(base, device),
        NegativeSampler(*experiment.no_negatives, len(base.items), device),
        selection(experiment, base, config.leakage_price),
        device,
    )
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)
    return Fair(base, encoder, network, parts, "base")
