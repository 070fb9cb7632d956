"""The base stage of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from pydantic import Discriminator, Tag

from training.base.contract import Base
from training.base.pmf import PmfConfig, train_pmf
from training.experiment import Experiment


def _model(value: object) -> object:
    """The model that a configuration names; PMF where it names none."""
    return value.get("model", "pmf") if isinstance(value, dict) else getattr(value, "model", None)


BaseConfig = Annotated[Annotated[PmfConfig, Tag("pmf")], Discriminator(_model)]


def train_base(experiment: Experiment, config: BaseConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train the configured base on the training positives; the best epoch is chosen on validation positives."""
    return train_pmf(experiment, config, checkpoint, device)
