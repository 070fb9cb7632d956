"""The base stage of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from pydantic import Discriminator, Tag

from training.base.als import AlsConfig, train_als
from training.base.contract import Base
from training.base.deep import DeepConfig, train_deep
from training.base.pmf import PmfConfig, train_pmf
from training.base.sequence.config import Bert4recConfig, SasrecConfig, SequenceConfig
from training.base.sequence.train import train_sequence
from training.experiment import Experiment


def _model(value: object) -> object:
    """The model that a configuration names; ALS where it names none."""
    return value.get("model", "als") if isinstance(value, dict) else getattr(value, "model", None)


BaseConfig = Annotated[
    Annotated[AlsConfig, Tag("als")]
    | Annotated[PmfConfig, Tag("pmf")]
    | Annotated[DeepConfig, Tag("deep")]
    | Annotated[SasrecConfig, Tag("sasrec")]
    | Annotated[Bert4recConfig, Tag("bert4rec")],
    Discriminator(_model),
]


def positives_needed(config: BaseConfig) -> int:
    """Training positives of a user that such a base learns from: where the next item is learned, two."""
    return 2 if isinstance(config, SequenceConfig) else 1


def train_base(experiment: Experiment, config: BaseConfig, checkpoint: Path, device: torch.device) -> Base:
    """Train the configured base on the training positives; the best epoch is chosen on validation positives."""
    match config:
        case AlsConfig():
            return train_als(experiment, config, checkpoint, device)
        case PmfConfig():
            return train_pmf(experiment, config, checkpoint, device)
        case DeepConfig():
            return train_deep(experiment, config, checkpoint, device)
        case SasrecConfig() | Bert4recConfig():
            return train_sequence(experiment, config, checkpoint, device)
