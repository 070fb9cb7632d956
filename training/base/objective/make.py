"""From a configuration to an objective; what this data cannot be trained for is refused."""

from __future__ import annotations

import torch

from training.base.objective.bpr import Bpr, CosineBpr
from training.base.objective.config import (
    BprConfig,
    DprConfig,
    FairNegConfig,
    GroupDroConfig,
    InUcdsConfig,
    ItfrConfig,
    MultiFrConfig,
    ObjectiveConfig,
    StreamDroConfig,
)
from training.base.objective.contract import Objective
from training.base.objective.dpr import Dpr
from training.base.objective.dro import GroupDro
from training.base.objective.fairneg import FairNeg
from training.base.objective.groups import intersections, item_groups
from training.base.objective.itfr import Itfr
from training.base.objective.multifr import MultiFr
from training.base.objective.ucds import InUcds
from training.experiment import Experiment


def refuse_unfit_objective(experiment: Experiment, config: ObjectiveConfig) -> None:
    """Refuse groups that this data does not have.

    Raises:
        ConfigError: it names the key.
    """
    match config:
        case BprConfig() | InUcdsConfig():
            pass
        case DprConfig() | FairNegConfig():
            intersections(experiment, (), config.items, torch.device("cpu"))
        case _:
            intersections(experiment, config.users, config.items, torch.device("cpu"))


def objective_of(experiment: Experiment, config: ObjectiveConfig, dimensions: int, device: torch.device) -> Objective:
    """Make the configured objective for tables of this data.

    Raises:
        ConfigError: as `refuse_unfit_objective`.
    """
    match config:
        case BprConfig():
            return Bpr() if config.temperature is None else CosineBpr(config.temperature)
        case InUcdsConfig():
            return InUcds(experiment, config, device)
        case DprConfig() | FairNegConfig():
            of_items = torch.from_numpy(item_groups(experiment, config.items)).to(device)
            if isinstance(config, DprConfig):
                return Dpr(of_items, len(config.items), config, experiment.seed)
            return FairNeg(of_items, len(config.items), config)
    groups = intersections(experiment, config.users, config.items, device)
    match config:
        case GroupDroConfig():
            return GroupDro(groups, config.weight_rate)
        case StreamDroConfig():
            return GroupDro(groups, config.weight_rate, config.momentum)
        case ItfrConfig():
            return Itfr(groups, config, dimensions)
        case MultiFrConfig():
            return MultiFr(groups, config)
