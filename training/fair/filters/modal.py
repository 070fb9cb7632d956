"""FMMRec's first phase: of each modality's means, one version that shows attributes and one that does not.

Source: Chen et al., TOIS 2025, section on biased and filtered modal representations; docs/algorithms/fmmrec.md, M1.

Letters: U users, I items, C cold items, n numbers of a modality.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from measure.masks import Mask
from training.data.modal_means import modal_means
from training.data.modality import Modality
from training.experiment import Experiment, allowed_labels
from training.fair.descend import adam, descend
from training.fair.filters.config import FmmrecConfig
from training.fair.filters.discriminators import Discriminators, initialise

log = logging.getLogger(__name__)
BATCH = 512
"""Users in a step."""


@dataclass(frozen=True)
class ModalMeans:
    """Of one modality."""

    present: NDArray[np.bool_]
    """(I + C,) whether an item has it."""
    filtered: NDArray[np.float32]
    """(U, n) of every user."""
    biased: NDArray[np.float32]
    """(U, n)."""
    items: NDArray[np.float32]
    """(I + C, n) filtered items, whose mean is a filtered mean: a filter is a linear map and a constant."""
    usual: NDArray[np.float32]
    """(n,) the filtered mean of somebody none of whose items has it."""


def learn_means(
    experiment: Experiment, mask: Mask, config: FmmrecConfig, device: torch.device
) -> dict[str, ModalMeans]:
    """Learn them, modality by modality, with the labels that the mode allows; new users take no part.

    Means are over training positives, less the mean of these users and in units of what is usual, so that all
    modalities learn at one rate.
    """
    protected = np.array([name in mask for name in experiment.attributes])
    labels = torch.from_numpy(np.where(protected, allowed_labels(experiment), -1)).to(device)
    fitted = torch.from_numpy(~experiment.folded_in).to(device)
    found = {}
    for each in experiment.dataset.modalities:
        e, items = (torch.from_numpy(every).to(device) for every in _in_one_scale(each, experiment))
        seed = zlib.crc32(f"{experiment.seed}/{each.name}".encode())
        filters = _learned(e[fitted], labels[fitted], experiment, config, seed)
        found[each.name] = _filtered(filters, e, items, each.present)
    return found


def _in_one_scale(modality: Modality, experiment: Experiment) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(U, n) means and (I + C, n) items; 0 in both where nothing has the modality."""
    means, fitted = modal_means(modality, experiment.train).astype(np.float64), ~experiment.folded_in
    usual, scale = means[fitted].mean(0), float(means[fitted].std()) or 1.0
    values = np.where(modality.present[:, None], modality.values, usual)
    return ((means - usual) / scale).astype(np.float32), ((values - usual) / scale).astype(np.float32)


@torch.no_grad()
def _filtered(filters: nn.ModuleDict, e: Tensor, items: Tensor, present: NDArray[np.bool_]) -> ModalMeans:
    plain, biased, items = filters["filtered"](e), filters["biased"](e), filters["filtered"](items)
    usual = filters["filtered"](torch.zeros_like(e[0]))
    log.info("fair: filtered means keep a cosine of %.3f", float(cosine_similarity(plain, e).mean()))
    return ModalMeans(present, *(each.cpu().numpy() for each in (plain, biased, items, usual)))


def _learned(e: Tensor, labels: Tensor, experiment: Experiment, config: FmmrecConfig, seed: int) -> nn.ModuleDict:
    """The two filters, of (U, n) means and (U, M) labels."""
    rng, width = torch.Generator().manual_seed(seed), e.shape[1]
    filters = nn.ModuleDict({"filtered": nn.Linear(width, width), "biased": nn.Linear(width, width)}).to(e.device)
    initialise(filters, rng)
    judges = [
        Discriminators(width, experiment.class_counts, config.dropout, rng).to(e.device) for _ in ("filtered", "biased")
    ]
    rates = {"rate": config.learning_rate, "weight_decay": config.weight_decay}
    model, adversary = adam(filters, **rates), adam(*judges, **rates)
    rng = torch.Generator(e.device).manual_seed(seed)
    for _ in range(config.modal_epochs):
        for rows in torch.split(torch.randperm(len(e), generator=rng, device=e.device), BATCH):
            x, known = e[rows], labels[rows]
            plain, biased = filters["filtered"](x), filters["biased"](x)
            told, hidden = judges[1](biased, known, rng), judges[0](plain, known, rng)
            loss = (1 - cosine_similarity(plain, x)).mean() + config.modal_weight * (told - hidden)
            descend(model, loss + config.apart_weight * cosine_similarity(biased, plain).clamp(min=0).mean())
            if bool((known >= 0).any()):
                descend(adversary, judges[0](plain.detach(), known, rng) + judges[1](biased.detach(), known, rng))
    return filters
