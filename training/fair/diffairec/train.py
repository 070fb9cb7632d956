"""DifFaiRec as the fair stage of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bundle import Diffairec, Diffrec, Network, SupportedMasks
from bundle.networks.identity import IdentityEncoder, identity_parts
from training.base.autoencoder.config import DiffrecConfig
from training.base.autoencoder.stage import Rows
from training.base.contract import Base, Contexts
from training.base.train import BaseConfig
from training.base.validation import choosing_ndcg
from training.errors import ConfigError
from training.experiment import Experiment, allowed_labels
from training.fair.contract import Fair
from training.fair.diffairec.config import DiffairecConfig
from training.fair.diffairec.groups import posterior_of, tastes_of_others
from training.fair.diffairec.stage import ConditionedModel, DiffairecStage
from training.fair.own_labels import chosen_by_labels, refuse_own_labels
from training.loop import fit

log = logging.getLogger(__name__)

Histories = Sequence[NDArray[np.int32]]


def train_diffairec(
    experiment: Experiment, base: Base, config: DiffairecConfig, work: Path, device: torch.device
) -> Fair:
    """Train DiffRec's denoiser under a condition.

    With `own` its vectors are exported as finished ones beside DiffRec's; with `posterior` it takes DiffRec's place: a
    history alone gives its vectors, no label does. They show the attribute, so the one mask protects nothing.
    """
    assert isinstance(base.history, Diffrec)  # noqa: S101  `refuse_unfit_diffairec` says so
    labels = allowed_labels(experiment)[:, experiment.attributes.index(config.attribute)].astype(np.int64)
    classes = experiment.class_counts[experiment.attributes.index(config.attribute)]
    indptr, indices = experiment.train
    shape = (len(indptr) - 1, len(base.items))
    rows = csr_matrix((np.ones(len(indices)), indices, indptr), shape)
    tastes = tastes_of_others(rows, labels, classes, config.taste)
    logits, bias = posterior_of(rows, labels, classes)
    network = Diffairec(_network(base.history, classes, config))
    network.logits.copy_(torch.from_numpy(logits))
    network.logits_bias.copy_(torch.from_numpy(bias))
    model = ConditionedModel(network, base.history, base.items, tastes, config, experiment.seed).to(device)

    users = range(len(experiment.dataset.users))
    known = [experiment.held_out.history(user) for user in users]
    one_hot = np.eye(classes, dtype=np.float32)[labels] if config.condition == "own" else None
    weights = network.weights_of(known) if one_hot is None else one_hot

    def vectors(denoiser: Diffairec, histories: Histories) -> NDArray[np.float32]:
        if one_hot is None:
            return denoiser.user_vectors(histories, base.items)
        return denoiser.vectors_under(histories, one_hot)

    def validate() -> float:
        return choosing_ndcg(experiment, vectors(model.network, known), base.items)

    stage = DiffairecStage(
        model, config, Rows(experiment.train, len(base.items), device), torch.from_numpy(weights).to(device), validate
    )
    result = fit(stage, config.schedule, experiment.seed, work / "fair.safetensors", device)
    log.info("fair: validation %s", result)

    model.settle()
    trained = Diffairec.load(network.network, base.items.shape[1], network.arrays())
    whole = [experiment.held_out.history(user, with_validation=True) for user in users]
    if config.condition == "own":
        return chosen_by_labels(base, experiment.attributes, [config.attribute], vectors(trained, whole))
    selection = vectors(trained, known)
    contexts = Contexts(selection, np.arange(len(selection)), *experiment.train)
    conditioned = replace(base, users=vectors(trained, whole), selection=selection, contexts=contexts, history=trained)
    masks = SupportedMasks(kind="fixed", masks=[[]])
    encoder = IdentityEncoder(experiment.attributes, identity_parts(), base.items.shape[1], {})
    return Fair(conditioned, encoder, Network(kind="identity", sizes={}), identity_parts(), "fair", masks)


def refuse_unfit_diffairec(experiment: Experiment, base: BaseConfig, config: DiffairecConfig) -> None:
    """Refuse another base, an attribute that is none, and own labels where they cannot be used.

    Raises:
        ConfigError: names the key.
    """
    if not isinstance(base, DiffrecConfig):
        problem = "conditions the reverse steps of DiffRec"
        raise ConfigError("fair.method", problem, value=config.method, allowed="base.model = 'diffrec'")
    if config.attribute not in experiment.attributes:
        allowed = ", ".join(experiment.attributes)
        raise ConfigError("fair.attribute", "is no attribute", value=config.attribute, allowed=allowed)
    if config.condition == "own":
        problem = "is a user's own label's"
        refuse_own_labels(experiment, "own", "fair.condition", [config.attribute], problem)


def _network(denoiser: Diffrec, classes: int, config: DiffairecConfig) -> Network:
    items, hidden, dimensions = denoiser.widths
    return Network(
        kind="diffairec",
        sizes={
            "layers": [items, hidden, config.condition_hidden, config.width, dimensions],
            "steps": [len(denoiser.variances)],
            "tokens": [config.tokens],
            "classes": [classes],
        },
    )
