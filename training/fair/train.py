"""The fair stage of a run: a frozen base in, a fair model out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field

from bundle import Part
from bundle.networks.calibrated import calibrated_parts
from bundle.networks.ffvae import ffvae_parts
from training.base.autoencoder.config import AutoencoderConfig
from training.base.contract import Base
from training.base.deep import DeepConfig
from training.base.sequence.config import SequenceConfig
from training.base.train import BaseConfig, constants_of, dimensions_of
from training.base.vectors import BroughtVectors
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair.afrl.config import AfrlConfig
from training.fair.afrl.networks import afrl_parts
from training.fair.afrl.train import train_afrl
from training.fair.contract import Fair
from training.fair.diffairec.config import DiffairecConfig
from training.fair.diffairec.train import refuse_unfit_diffairec, train_diffairec
from training.fair.ffvae.config import FfvaeConfig
from training.fair.ffvae.train import ffvae_network, train_ffvae
from training.fair.filters.config import AlConfig, CalConfig, FairgoConfig, FmmrecConfig
from training.fair.filters.train import refuse_unfit_both, train_both, train_users, user_filters
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import coordinates, lattice_parts
from training.fair.lattice.train import train_lattice
from training.fair.lego.config import LegoConfig
from training.fair.lego.train import train_lego
from training.fair.pfrec.config import PfrecConfig
from training.fair.pfrec.train import refuse_unfit_pfrec, train_pfrec
from training.fair.pot_au.config import PotAuConfig
from training.fair.pot_au.train import refuse_unfit_pot_au, train_pot_au
from training.fair.select import unmeasured_on_select
from training.fair.sm.config import SmConfig
from training.fair.sm.train import sm_network, train_sm

FairConfig = Annotated[
    AfrlConfig
    | AlConfig
    | CalConfig
    | DiffairecConfig
    | FairgoConfig
    | FfvaeConfig
    | FmmrecConfig
    | LatticeConfig
    | LegoConfig
    | PfrecConfig
    | PotAuConfig
    | SmConfig,
    Field(discriminator="method"),
]


def refuse_unfit(
    experiment: Experiment, base: BaseConfig, config: FairConfig, vectors: BroughtVectors | None = None
) -> None:
    """Refuse a method that could not be fitted for these attributes with any base.

    Raises:
        ConfigError: it names the key.
    """
    names, classes, d = experiment.attributes, experiment.class_counts, dimensions_of(base, vectors)
    if constants_of(base, vectors) and not isinstance(config, LatticeConfig):
        problem = "leaves no dimension alone, as item biases need it"
        without = "base.item_biases = false" if isinstance(base, AutoencoderConfig) else "a base without item biases"
        raise ConfigError("fair.method", problem, value=config.method, allowed=f"lattice, or {without}")
    match config:
        case AfrlConfig():
            _refuse_part_names(afrl_parts(names, config.without), config.method)
        case DiffairecConfig():
            refuse_unfit_diffairec(experiment, base, config)
        case AlConfig() | CalConfig():
            user_filters(config, names, d)
        case FairgoConfig() | FmmrecConfig():
            refuse_unfit_both(experiment, config)
            if isinstance(base, DeepConfig):
                problem = "changes item vectors, which base 'deep' only proposes candidates by"
                allowed = "a base of inner products, or 'al', 'cal'"
                raise ConfigError("fair.method", problem, value=config.method, allowed=allowed)
        case FfvaeConfig():
            ffvae_network(d, len(names), config)
            _refuse_part_names(ffvae_parts(names), config.method)
        case LatticeConfig():
            _refuse_part_names(lattice_parts(names), config.method)
            _refuse_unchecked(experiment, config)
            for strength in (config.strength, *config.front):
                coordinates(strength, classes, d, len(experiment.dataset.users))
        case LegoConfig():
            _refuse_part_names(calibrated_parts(names), config.method)
        case PfrecConfig():
            kind = base.kind if isinstance(base, SequenceConfig) else base.model
            refuse_unfit_pfrec(names, kind, experiment.mode, config)
        case PotAuConfig():
            refuse_unfit_pot_au(experiment, config)
        case SmConfig():
            sm_network(config.variant, names, d)


def chooses_by_held_out(config: FairConfig) -> bool:
    """Whether the method chooses something by how it ranks held-out positives."""
    return not isinstance(config, PotAuConfig) and not (isinstance(config, LatticeConfig) and not config.front)


def _refuse_part_names(parts: Sequence[Part], method: str) -> None:
    """Parts are known by name; an attribute may be called as a part of its method is."""
    names = [part.name for part in parts]
    if twice := next((name for name in names if names.count(name) > 1), None):
        problem = f"is also what method {method!r} calls a part of its own"
        raise ConfigError(
            "data.attributes", problem, value=twice, allowed="another name, with this one as its `column`"
        )


def _refuse_unchecked(experiment: Experiment, config: LatticeConfig) -> None:
    """A demand on leakage is none where the select users are too few to measure an attribute."""
    if config.leakage_at_most is None or config.leakage_at_most == 1:
        return
    if unmeasured := unmeasured_on_select(experiment):
        told = "; ".join(f"{name}: {why}" for name, why in unmeasured.items())
        allowed = "1, or none at all, which checks what can be checked"
        raise ConfigError(
            "fair.leakage_at_most", f"cannot be checked ({told})", value=config.leakage_at_most, allowed=allowed
        )


def train_fair(experiment: Experiment, base: Base, config: FairConfig, work: Path, device: torch.device) -> Fair:
    """Fit the configured method on the frozen base, with the labels that the experiment's mode allows."""
    match config:
        case AfrlConfig():
            return train_afrl(experiment, base, config, work, device)
        case DiffairecConfig():
            return train_diffairec(experiment, base, config, work, device)
        case AlConfig() | CalConfig():
            return train_users(experiment, base, config, work, device)
        case FairgoConfig() | FmmrecConfig():
            return train_both(experiment, base, config, work, device)
        case FfvaeConfig():
            return train_ffvae(experiment, base, config, work, device)
        case LatticeConfig():
            return train_lattice(experiment, base, config)
        case LegoConfig():
            return train_lego(experiment, base, config, work, device)
        case PfrecConfig():
            return train_pfrec(experiment, base, config, work, device)
        case PotAuConfig():
            return train_pot_au(experiment, base, config, work, device)
        case SmConfig():
            return train_sm(experiment, base, config, work, device)
