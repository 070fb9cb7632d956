"""The base stage of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
from pydantic import BeforeValidator, Discriminator, Tag

from training.base.als import AlsConfig, train_als
from training.base.autoencoder.config import (
    AutoencoderConfig,
    AutorecConfig,
    DiffrecConfig,
    FairganConfig,
    MultvaeConfig,
)
from training.base.autoencoder.train import train_autoencoder
from training.base.cold import refuse_few_described
from training.base.contract import Base
from training.base.deep import DeepConfig, train_deep
from training.base.dragon import DragonConfig, train_dragon
from training.base.freedom import FreedomConfig, train_freedom
from training.base.lightgcn import LightgcnConfig, train_lightgcn
from training.base.mm_lattice import MmLatticeConfig, train_mm_lattice
from training.base.mmgcn import MmgcnConfig, train_mmgcn
from training.base.objective.config import Grouped, InUcdsConfig
from training.base.objective.make import refuse_unfit_objective
from training.base.pmf import PmfConfig, train_pmf
from training.base.sequence.config import Bert4recConfig, SasrecConfig, SequenceConfig
from training.base.sequence.prism import refuse_unfit_prism
from training.base.sequence.train import train_sequence
from training.base.vbpr import Vbpr, VbprConfig, train_vbpr
from training.base.vectors import BroughtVectors, VectorsConfig, take_vectors
from training.errors import ConfigError
from training.experiment import Experiment


def _model(value: object) -> object:
    """The model that a configuration names; ALS where it names none."""
    return value.get("model", "als") if isinstance(value, dict) else getattr(value, "model", None)


def _with_what_it_has(value: object) -> object:
    """Refuse PRISM where no history is read in its order, in words that say so."""
    if isinstance(value, dict) and "prism" in value and (model := _model(value)) not in ("sasrec", "bert4rec"):
        raise ValueError(
            f"prism adds to bases that read a history in its order, model {model!r} is none; allowed: "
            "with model 'sasrec' or 'bert4rec'"
        )
    return value


BaseConfig = Annotated[
    Annotated[AlsConfig, Tag("als")]
    | Annotated[PmfConfig, Tag("pmf")]
    | Annotated[DeepConfig, Tag("deep")]
    | Annotated[VbprConfig, Tag("vbpr")]
    | Annotated[LightgcnConfig, Tag("lightgcn")]
    | Annotated[AutorecConfig, Tag("autorec")]
    | Annotated[MultvaeConfig, Tag("multvae")]
    | Annotated[DiffrecConfig, Tag("diffrec")]
    | Annotated[FairganConfig, Tag("fairgan")]
    | Annotated[MmLatticeConfig, Tag("mm_lattice")]
    | Annotated[FreedomConfig, Tag("freedom")]
    | Annotated[DragonConfig, Tag("dragon")]
    | Annotated[MmgcnConfig, Tag("mmgcn")]
    | Annotated[SasrecConfig, Tag("sasrec")]
    | Annotated[Bert4recConfig, Tag("bert4rec")]
    | Annotated[VectorsConfig, Tag("vectors")],
    Discriminator(_model),
    BeforeValidator(_with_what_it_has),
]


ReadsFeatures = VbprConfig | MmLatticeConfig | FreedomConfig | DragonConfig | MmgcnConfig
"""Bases that need item features."""


def positives_needed(config: BaseConfig) -> int:
    """Training positives of a user that such a base learns from: where the next item is learned, two.

    Brought vectors have been learned already.
    """
    return 0 if isinstance(config, VectorsConfig) else 2 if isinstance(config, SequenceConfig) else 1


def refuse_unfit_base(experiment: Experiment, config: BaseConfig) -> None:
    """Refuse an objective or features that this data cannot be trained for, and cold items that cannot get a vector.

    Raises:
        ConfigError: it names the key.
        TooLittleDataError: too few items have features.
    """
    if experiment.dataset.cold.ids and isinstance(config, DeepConfig | AutoencoderConfig):
        problem = "has weights of its own for every item and reads no features, so cold items cannot be served"
        allowed = "data.cold = 'drop', or another base"
        raise ConfigError("base.model", problem, value=config.model, allowed=allowed)
    reads_features = isinstance(config, ReadsFeatures)
    if reads_features and not experiment.dataset.modalities:
        raise ConfigError("base.model", "needs item features", value=config.model, allowed="with data.modalities")
    if isinstance(config, DragonConfig) and config.dimensions < (many := len(experiment.dataset.modalities)):
        problem = f"are shared out among the {many} modalities"
        raise ConfigError("base.dimensions", problem, value=config.dimensions, allowed=f"at least {many}")
    if experiment.dataset.cold.ids or reads_features:
        refuse_few_described(experiment)
    if isinstance(config, SequenceConfig) and config.prism is not None:
        refuse_unfit_prism(experiment, config.prism)
    if isinstance(config, PmfConfig):
        refuse_unfit_objective(experiment, config.objective)


def belongs_in_card(config: BaseConfig) -> tuple[str, ...]:
    """Metrics of a card that say what the base was trained for; they are measured whatever else is."""
    if not isinstance(config, PmfConfig):
        return ()
    if isinstance(config.objective, Grouped):
        return ("utility",)
    return ("activity",) if isinstance(config.objective, InUcdsConfig) else ()


def dimensions_of(config: BaseConfig, vectors: BroughtVectors | None) -> int:
    """How many dimensions of a user vector a fair map acts on."""
    if isinstance(config, VectorsConfig):
        if vectors is None:
            raise ConfigError("base.model", "is read from files, and nobody has", value=config.model)
        return vectors.varying
    return config.dimensions


def constants_of(config: BaseConfig, vectors: BroughtVectors | None) -> int:
    """How many dimensions of a user vector are the same for everybody, behind those that a fair map acts on."""
    if isinstance(config, AutoencoderConfig):
        return config.constants
    return Vbpr.constants if isinstance(config, VbprConfig) else vectors.constants if vectors else 0


def train_base(
    experiment: Experiment,
    config: BaseConfig,
    checkpoint: Path,
    device: torch.device,
    vectors: BroughtVectors | None = None,
) -> Base:
    """Train the configured base on the training positives; the best epoch is chosen on validation positives.

    Brought vectors are taken as they are.
    """
    if vectors is not None:
        return take_vectors(experiment, vectors)
    match config:
        case AlsConfig():
            return train_als(experiment, config, checkpoint, device)
        case PmfConfig():
            return train_pmf(experiment, config, checkpoint, device)
        case VbprConfig():
            return train_vbpr(experiment, config, checkpoint, device)
        case LightgcnConfig():
            return train_lightgcn(experiment, config, checkpoint, device)
        case AutorecConfig() | MultvaeConfig() | DiffrecConfig() | FairganConfig():
            return train_autoencoder(experiment, config, checkpoint, device)
        case MmLatticeConfig():
            return train_mm_lattice(experiment, config, checkpoint, device)
        case FreedomConfig():
            return train_freedom(experiment, config, checkpoint, device)
        case DragonConfig():
            return train_dragon(experiment, config, checkpoint, device)
        case MmgcnConfig():
            return train_mmgcn(experiment, config, checkpoint, device)
        case DeepConfig():
            return train_deep(experiment, config, checkpoint, device)
        case SasrecConfig() | Bert4recConfig():
            return train_sequence(experiment, config, checkpoint, device)
        case VectorsConfig():
            raise ConfigError("base.model", "is taken from files, not trained", value=config.model)
