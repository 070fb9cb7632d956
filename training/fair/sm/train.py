"""SM as the fair stage of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import FairEncoder, Network, Part, build_encoder
from bundle.networks.filters import LEAK, MOST_ATTRIBUTES, Filter, filter_parts, mask_filter_parts
from training.base.contract import Base
from training.errors import ConfigError
from training.experiment import Experiment, allowed_labels
from training.fair.contract import Fair
from training.fair.select import selection
from training.fair.sm.adversaries import Adversaries
from training.fair.sm.config import SmConfig
from training.fair.sm.stage import SmStage
from training.fair.sm.step import SmNets
from training.fair.sm.users import users_of
from training.loop import fit
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)


def train_sm(experiment: Experiment, base: Base, config: SmConfig, work: Path, device: torch.device) -> Fair:
    """Train filters, and the base's tables along with them where it is a PMF.

    Raises:
        ConfigError: a filter for each mask of so many attributes.
    """
    names, dimensions = experiment.attributes, base.users.shape[1]
    network, parts = sm_network(config.variant, names, dimensions)
    encoder = build_encoder(network, dimensions, names, parts)
    start_at_identity(encoder, base.contexts.vectors[np.diff(base.contexts.indptr) > 0])
    rng = torch.Generator().manual_seed(experiment.seed)
    adversaries = Adversaries(dimensions, experiment.class_counts, config.dropout, rng)
    nets = SmNets(encoder, users_of(base, device), adversaries)

    def validate(now: SmNets) -> float:
        return selection(experiment, now.users.base(), config.leakage_price, base)(now.encoder)

    negatives = NegativeSampler(*experiment.no_negatives, len(base.items), device)
    labels = allowed_labels(experiment)
    stage = SmStage(nets, config, experiment.mode, base.contexts, labels, negatives, validate, device)
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)
    return Fair(nets.users.exported(experiment), encoder.eval(), network, parts, "base")


def sm_network(variant: str, attributes: Sequence[str], dimensions: int) -> tuple[Network, list[Part]]:
    """How the manifest names the encoder, and its parts; refuses too many filters."""
    sizes = {"filter": [dimensions, 2 * dimensions, dimensions]}
    if variant == "combine":
        return Network(kind="filters", sizes=sizes), filter_parts(attributes)
    if len(attributes) > MOST_ATTRIBUTES:
        problem = f"needs {2 ** len(attributes) - 1} filters for {len(attributes)} attributes"
        allowed = f"at most {MOST_ATTRIBUTES} attributes, or 'combine'"
        raise ConfigError("fair.variant", problem, value=variant, allowed=allowed)
    return Network(kind="mask_filters", sizes=sizes), mask_filter_parts()


def start_at_identity(filters: FairEncoder, u: NDArray[np.float32]) -> None:
    """Make every filter a map that leaves the vectors as they are: x = ReLU(x) - ReLU(-x), kept above 0 by a bias.

    Args:
        filters: encoder whose filters have twice as many hidden numbers as dimensions.
        u: (C, d) vectors that are to be filtered.
    """
    x = torch.from_numpy(u)
    mean, variance = x.mean(0), x.var(0, correction=0)
    above = x.amin(0).abs() + variance.sqrt()
    both = torch.cat([torch.eye(len(mean)), -torch.eye(len(mean))])
    for module in filters.modules():
        if isinstance(module, Filter):
            with torch.no_grad():
                module.inner.weight.copy_(both)
                module.inner.bias.zero_()
                module.outer.weight.copy_(both.T / (1 + LEAK))
                module.outer.bias.copy_(above)
                module.mean.copy_(mean + above)
                module.variance.copy_(variance)
                module.scale.copy_((variance + 1e-5).sqrt())
                module.shift.copy_(mean)
