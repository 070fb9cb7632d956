"""Vectors of cold items: a ridge map from features to the vectors that training gave to the others.

Source: the linear case of attribute-to-feature maps, Gantner et al., ICDM 2010; leave-one-out over the ridge by
scikit-learn's `RidgeCV`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from measure.scoring import to_unit
from training.base.contract import Base
from training.data.dataset import Dataset
from training.data.modality import Modality
from training.errors import TooLittleDataError
from training.experiment import Experiment, evenly

log = logging.getLogger(__name__)

FEWEST_ITEMS = 10
"""With features and a training positive: with fewer the map would be a constant."""
MOST_ITEMS = 20_000
"""That the map is fitted on, evenly spread."""
RIDGES = np.logspace(0, 6, 25)
"""Features have variance 1, so these are compared with the number of items."""


@dataclass(frozen=True)
class RidgeMap:
    """What is known of a map from features to vectors.

    Attributes:
        fitted_on: how many items it was fitted on.
        explained: share of the variance of those items' vectors that it gives when their own is left out; above 0 it
            knows something.
    """

    fitted_on: int
    explained: float


@dataclass(frozen=True)
class ColdVectors:
    """What cold items are served with.

    Attributes:
        vectors: float32 (C, d).
        ridge: how the map that made them was fitted; None where the base made them itself.
    """

    vectors: NDArray[np.float32]
    ridge: RidgeMap | None = None


def learned_items(experiment: Experiment) -> NDArray[np.int64]:
    """Rows of the items that have a modality and a training positive."""
    dataset = experiment.dataset
    if not dataset.modalities:
        return np.zeros(0, np.int64)
    trained = np.bincount(experiment.train[1], minlength=len(dataset.items)) > 0
    described = np.any([each.present[: len(trained)] for each in dataset.modalities], axis=0)
    return np.flatnonzero(trained & described)


def items_with(experiment: Experiment, modality: Modality) -> NDArray[np.int64]:
    """Rows of the items that have the modality and a training positive."""
    rows = np.unique(experiment.train[1]).astype(np.int64)
    return rows[modality.present[rows]]


def refuse_few_with(experiment: Experiment, modalities: Sequence[Modality]) -> None:
    """Refuse a modality of which too few items could tell anything.

    Raises:
        TooLittleDataError: names it, and says how many items there are.
    """
    for each in modalities:
        if (found := len(items_with(experiment, each))) < FEWEST_ITEMS:
            what = f"items with modality {each.name!r} and a training positive"
            raise TooLittleDataError(what, found, FEWEST_ITEMS, "by these the features of others are read")


def refuse_few_described(experiment: Experiment) -> None:
    """Refuse features where there are too few items to learn from what they mean.

    Raises:
        TooLittleDataError: says how many items there are.
    """
    if (found := len(learned_items(experiment))) < FEWEST_ITEMS:
        what = "items with features and a training positive"
        raise TooLittleDataError(what, found, FEWEST_ITEMS, "by these the features of others are read")


def cold_vectors(experiment: Experiment, base: Base) -> ColdVectors | None:
    """Give every cold item a vector; None where there are no cold items."""
    if not experiment.dataset.cold.ids:
        return None
    if base.cold is not None:
        return ColdVectors(base.cold)
    rows = evenly(learned_items(experiment), MOST_ITEMS)
    inputs = described(experiment, rows)
    targets = base.items[rows].astype(np.float64)
    ridge = RidgeCV(alphas=RIDGES, scoring=None).fit(inputs[rows], targets)
    vectors = ridge.predict(inputs[len(base.items) :]).astype(np.float32)
    variance = float(targets.var(axis=0).mean())
    explained = 1 + float(ridge.best_score_) / variance if variance else 0.0
    log.info(
        "cold items: %d get vectors by a ridge map fitted on %d, which explains %.1f %% of theirs",
        len(vectors),
        len(rows),
        100 * explained,
    )
    return ColdVectors(to_unit(vectors) if base.cosine else vectors, RidgeMap(len(rows), explained))


def described(experiment: Experiment, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """All modalities side by side, (I + C, n), in units of what is usual among the items ``rows``.

    Each number has mean 0 and variance 1 over those of them that have the modality. An item without it stands at the
    mean there, and a flag of its own says so.
    """
    blocks = []
    for each in experiment.dataset.modalities:
        having = rows[each.present[rows]]
        if not len(having):
            continue  # none of these items has it: nothing can be learned from it
        block = in_usual_units(each, having)
        block[~each.present] = 0
        blocks.append(block)
        if not each.present.all():
            blocks.append(each.present[:, None] - each.present[rows].mean())
    return np.hstack(blocks)


def in_usual_units(modality: Modality, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(I + C, n) features, mean 0 and variance 1 over the items ``rows``, which have them; NaN where one lacks them."""
    fitted = modality.values[rows].astype(np.float64)
    spread = fitted.std(axis=0)
    return np.asarray((modality.values - fitted.mean(axis=0)) / np.where(spread > 0, spread, 1), np.float64)


def features_card(dataset: Dataset, cold: ColdVectors | None) -> dict[str, Any]:
    """What a card says of item features and of cold items; nothing where there are no features."""
    if not dataset.modalities:
        return {}
    modalities = [
        {
            "name": each.name,
            "source": each.source,
            "dimensions": each.values.shape[1],
            "items": int(each.present.sum()),
            "of": len(each.present),
        }
        for each in dataset.modalities
    ]
    found: dict[str, Any] = {"modalities": modalities}
    if cold is not None:
        found["cold_items"] = {"served": len(cold.vectors), "map": "base"}
        if cold.ridge is not None:
            how = {"fitted_on": cold.ridge.fitted_on, "explained": round(cold.ridge.explained, 4)}
            found["cold_items"] |= {"map": "ridge", **how}
    return found
