"""Data with item features for tests of bases: generated, or a handful of users and items by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from training.data.modality import Modality
from training.experiment import Experiment

GENERATED: dict[str, Any] = {
    "reader": "generated",
    "users": 200,
    "items": 80,
    "interactions_per_user": 20,
    "seed": 3,
    "modalities": {"looks": {}, "sound": {}},
    "cold_items": 12,
    "featureless": 0.1,
}
"""A configuration's `[data]`."""
POSITIVES = np.array([0, 2, 3, 3, 6], np.int64), np.array([1, 0, 4, 0, 1, 4], np.int32)
"""Four users; of six items three that nobody has. A seventh and an eighth are cold."""
USERS, ITEMS, COLD = 4, 6, 2


def modality(name: str, width: int, lacking: Sequence[int] = ()) -> Modality:
    """Of the six items and the cold ones; some lack it."""
    values = np.random.default_rng([7, *name.encode()]).normal(size=(ITEMS + COLD, width)).astype(np.float32)
    present = ~np.isin(np.arange(ITEMS + COLD), lacking)
    values[~present] = np.nan
    return Modality(name, values, present, "by hand")


def without_cold(experiment: Experiment) -> Experiment:
    """The same, in which nobody knows of cold items."""
    dataset, count = experiment.dataset, len(experiment.dataset.items)
    warm = tuple(replace(each, values=each.values[:count], present=each.present[:count]) for each in dataset.modalities)
    return replace(experiment, dataset=replace(dataset, modalities=warm, cold=type(dataset.cold)()))


def learns_from_its_loss(model: nn.Module) -> None:
    """Assert that everything trained of a model of those users and items has a gradient."""
    model(torch.tensor([0, 1, 3]), torch.tensor([1, 4, 0]), torch.tensor([2, 3, 2])).backward()

    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
