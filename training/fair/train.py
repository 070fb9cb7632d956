"""The fair stage of a run: a frozen base in, a fair model out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from training.base.contract import Base
from training.experiment import Experiment
from training.fair.afrl.step import AfrlConfig
from training.fair.afrl.train import train_afrl
from training.fair.contract import Fair
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.train import train_lattice

FairConfig = Annotated[AfrlConfig | LatticeConfig, Field(discriminator="method")]


def train_fair(experiment: Experiment, base: Base, config: FairConfig, work: Path, device: torch.device) -> Fair:
    """Fit the configured method on the frozen base, with the labels that the experiment's mode allows."""
    match config:
        case AfrlConfig():
            return train_afrl(experiment, base, config, work, device)
        case LatticeConfig():
            return train_lattice(experiment, base, config)
