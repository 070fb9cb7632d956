"""The fair stage of a run: a frozen base in, an encoder and what to call its parts out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from bundle import Encoder, FairEncoder, Part
from measure.errors import MeasureError
from measure.leakage import Users, leakage
from measure.profiles import Profile
from training.base.train import Base
from training.data.split import SELECT, TRAIN
from training.experiment import Experiment
from training.fair.afrl import AfrlConfig, FairNets, afrl_encoder, afrl_parts
from training.fair.front import measure_front
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.fit import fit_lattice
from training.fair.select import Validation, by_accuracy, by_accuracy_and_leakage
from training.fair.stage import AfrlStage, FairData, interaction_rows, user_rows
from training.loop import fit
from training.masks import masks_to_measure
from training.negatives import NegativeSampler

log = logging.getLogger(__name__)

SELECTION = Profile("selection", ("logistic",), 3, 1, 1, 1, 1, fit_rows=4_000, verdict=False)
"""The attacker that chooses an epoch: cheap, run after every few epochs, on every mask."""


@dataclass(frozen=True)
class Fair:
    """A fitted fair model, as the bundle will describe it."""

    encoder: FairEncoder
    sizes: Encoder
    parts: list[Part]
    empty_mask: Literal["base", "fair"]
    front: list[dict[str, Any]] = field(default_factory=list)
    """What other strengths keep and leak, where the configuration asks for it."""


def train_fair(
    experiment: Experiment, base: Base, config: AfrlConfig | LatticeConfig, work: Path, device: torch.device
) -> Fair:
    """Fit the configured method on the frozen base, with the labels that the experiment's mode allows."""
    labels = experiment.dataset.labels
    if experiment.mode == "strict":
        labels = np.where((experiment.user_split == TRAIN)[:, None], labels, np.int16(-1))
    if isinstance(config, AfrlConfig):
        return _train_afrl(experiment, base, labels, config, work, device)
    return _fit_lattice(experiment, base, labels, config)


def _fit_lattice(experiment: Experiment, base: Base, labels: NDArray[np.int16], config: LatticeConfig) -> Fair:
    met = ~experiment.folded_in
    leaked = _leaked_where_protected_alone(experiment, base)

    def fit_with(chosen: LatticeConfig) -> tuple[FairEncoder, Encoder, list[Part]]:
        users, known = base.users[met], labels[met]
        names, classes = experiment.attributes, experiment.class_counts
        return fit_lattice(users, base.items, known, names, classes, chosen, experiment.seed, leaked)

    encoder, sizes, parts = fit_with(config)
    plain = config.model_copy(update={"leakage_at_most": 1.0})
    front = measure_front(
        experiment, base, config.front, lambda strength: fit_with(plain.model_copy(update={"strength": strength}))[0]
    )
    return Fair(encoder, sizes, parts, "base", front)


def _train_afrl(
    experiment: Experiment,
    base: Base,
    labels: NDArray[np.int16],
    config: AfrlConfig,
    work: Path,
    device: torch.device,
) -> Fair:
    names, dimensions = experiment.attributes, base.users.shape[1]
    nets = FairNets.create(dimensions, names, experiment.class_counts, experiment.seed)
    stage = AfrlStage(
        nets,
        config,
        FairData(base.users, base.items, labels, experiment.class_counts, *experiment.train),
        NegativeSampler(*experiment.no_negatives, len(base.items), device),
        user_rows if experiment.mode == "strict" else interaction_rows,
        _score(experiment, base, config.leakage_price),
        device,
    )
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation score %s", result)
    return Fair(nets.encoder, afrl_encoder(dimensions, len(names)), afrl_parts(names), "fair")


def _leaked_where_protected_alone(experiment: Experiment, base: Base) -> Callable[[FairEncoder, str], float]:
    """Leakage of one attribute among select users, to attackers fitted on them and on train users."""
    train, select = (np.flatnonzero(experiment.user_split == part) for part in (TRAIN, SELECT))
    rows = np.concatenate([select, train])
    users = Users(audit=np.arange(len(select)), train=np.arange(len(select), len(rows)))

    def leaked(encoder: FairEncoder, name: str) -> float:
        flags = torch.tensor([attribute == name for attribute in experiment.attributes]).expand(len(rows), -1)
        with torch.no_grad():
            fair = encoder.combine(encoder.split(torch.from_numpy(base.users[rows])), flags).numpy()
        labels = experiment.dataset.labels[rows, experiment.attributes.index(name)].astype(np.int64)
        return _selection_leakage(fair, labels, users, name, experiment.seed)

    return leaked


def _selection_leakage(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], users: Users, name: str, seed: int
) -> float:
    try:
        return leakage(vectors, labels, users, SELECTION, attribute=name, target="fair", seed=seed).auc
    except MeasureError:  # too few select users of a class to say anything
        return 0.5


def _score(experiment: Experiment, base: Base, leakage_price: float) -> Callable[[FairEncoder], float]:
    names = experiment.attributes
    strict = experiment.mode == "strict"
    rows = np.flatnonzero(experiment.user_split == SELECT) if strict else np.arange(len(base.users))
    positive, negatives = experiment.validation[rows], experiment.validation_negatives[rows]
    validation = Validation(base.users[rows], base.items, positive, negatives, names)
    if not strict:
        return by_accuracy(validation, [(), names])  # the reference's --fix_one

    labels = {name: experiment.dataset.labels[rows, index].astype(np.int64) for index, name in enumerate(names)}
    everyone, seed = Users(audit=np.arange(len(rows))), experiment.seed

    def leaked(vectors: NDArray[np.float32], name: str) -> float:
        return _selection_leakage(vectors, labels[name], everyone, name, seed)

    return by_accuracy_and_leakage(validation, masks_to_measure(names), leaked, leakage_price)
