"""PoT-AU as the fair stage of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from bundle import Network, SupportedMasks, build_encoder
from bundle.networks import TableEncoder
from measure.scoring import to_unit
from training.base.contract import Base
from training.data.dataset import UNKNOWN
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.contract import Fair
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
    names = protected(experiment.attributes, config)
    order = OrderKept(experiment, base, config.order_items, config.order_margin)
    stage = PotAuStage(base, [experiment.labels_of(name) for name in names], order, config, device)
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: less the price %s", result)
    vectors = stage.table.vectors()
    network = Network(kind="table", sizes={"masks": [1, len(experiment.attributes)]})
    table = build_encoder(network, base.items.shape[1], experiment.attributes, [])
    assert isinstance(table, TableEncoder)  # noqa: S101  the kind says so
    table.masks.copy_(torch.tensor([[name in names for name in experiment.attributes]]))
    return Fair(
        base,
        table,
        network,
        [],
        "base",
        SupportedMasks(kind="fixed", masks=[list(names)]),
        list(names),
        vectors=(to_unit(vectors) if base.cosine else vectors)[:, None],
    )


def refuse_unfit_pot_au(experiment: Experiment, config: PotAuConfig) -> None:
    """Refuse what would leave some user less protected than the bundle says.

    Raises:
        ConfigError: `strict`, whose audit users' labels may not be used; a user without a label, whose vector nothing
            would move; new users, for whom there is no vector until the next training; or no such attribute.
    """
    problem = "moves every user by their own label"
    if experiment.mode == "strict":
        why = f"{problem}, and mode 'strict' has those of train users only"
        raise ConfigError("fair.method", why, value=config.method, allowed="mode 'reproduce', or method 'lattice'")
    if experiment.new_users:
        why = f"{problem}, so it serves no new user until it is run again"
        raise ConfigError("new_users", f"is for methods that do; pot_au {why}", value=experiment.new_users, allowed="0")
    for name in protected(experiment.attributes, config):
        unknown = int((experiment.labels_of(name) == UNKNOWN).sum())
        if unknown:
            why = f"{problem}, and {unknown:,} of {len(experiment.dataset.users):,} have none of {name!r}"
            allowed = "a label for everybody, 'protect' without it, or method 'lattice'"
            raise ConfigError("fair.method", why, value=config.method, allowed=allowed)


def protected(attributes: Sequence[str], config: PotAuConfig) -> tuple[str, ...]:
    """Attributes to protect, in manifest order.

    Raises:
        ConfigError: one is none of the data's.
    """
    for name in config.protect:
        if name not in attributes:
            raise ConfigError("fair.protect", "is no attribute", value=name, allowed=", ".join(attributes))
    return tuple(name for name in attributes if not config.protect or name in config.protect)
