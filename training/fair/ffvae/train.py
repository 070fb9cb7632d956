"""FFVAE as the fair stage of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from bundle import Network, build_encoder
from bundle.limits import MOST_SIZES
from bundle.networks import FfvaeEncoder
from bundle.networks.ffvae import ffvae_parts
from training.base.contract import Base
from training.errors import ConfigError
from training.experiment import Experiment, allowed_labels
from training.fair.contract import Fair
from training.fair.ffvae.config import FfvaeConfig
from training.fair.ffvae.stage import FfvaeStage
from training.fair.ffvae.step import FfvaeNets
from training.fair.select import selection
from training.fair.standardise import standardise
from training.loop import fit

log = logging.getLogger(__name__)


def train_ffvae(experiment: Experiment, base: Base, config: FfvaeConfig, work: Path, device: torch.device) -> Fair:
    """Train the autoencoder on the vectors of the frozen base's contexts."""
    names, dimensions = experiment.attributes, base.users.shape[1]
    network, parts = ffvae_network(dimensions, len(names), config), ffvae_parts(names)
    encoder = build_encoder(network, dimensions, names, parts)
    assert isinstance(encoder, FfvaeEncoder)  # noqa: S101  the kind says so
    standardise(encoder, base)
    nets = FfvaeNets.create(encoder, experiment.class_counts, config, experiment.seed)
    validate = selection(experiment, base, config.leakage_price)
    stage = FfvaeStage(nets, config, experiment.mode, base.contexts, allowed_labels(experiment), validate, device)
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)
    return Fair(base, encoder, network, parts, "fair")


def ffvae_network(dimensions: int, attributes: int, config: FfvaeConfig) -> Network:
    """Two hidden layers each way; a block is no wider than a part.

    Raises:
        ConfigError: more blocks than a manifest lists.
    """
    if attributes >= MOST_SIZES:
        problem = f"needs {1 + attributes} blocks for {attributes} attributes"
        raise ConfigError("fair.method", problem, value=config.method, allowed=f"at most {MOST_SIZES - 1} attributes")
    d, h = dimensions, config.hidden
    latents = [min(config.shared, d), *[min(config.block, d)] * attributes]
    n = sum(latents)
    return Network(kind="ffvae", sizes={"latents": latents, "encode": [d, h, h, 2 * n], "decode": [n, h, h, d]})
