"""What holds of every base that propagates item features along the graph of interactions: DRAGON and MMGCN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from tests.training.features import GENERATED, without_cold
from training.base.dragon import DragonConfig, train_dragon
from training.base.mmgcn import MmgcnConfig, train_mmgcn
from training.base.validation import validation_ndcg
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError

CPU = torch.device("cpu")
BASES = {"dragon": (DragonConfig, train_dragon), "mmgcn": (MmgcnConfig, train_mmgcn)}


@pytest.fixture(scope="module")
def experiment():
    fields = {"name": "mm", "threads": 1, "seed": 5, "data": GENERATED, "base": {"model": "dragon"}}
    config = RunConfig.model_validate(fields | {"new_users": 0.1})
    return experiment_of(config, load(config.data, None))


@pytest.fixture(params=BASES)
def name(request):
    return request.param


@pytest.fixture
def train(name, tmp_path):
    config, training = BASES[name]

    def trained(experiment, file, epochs, **schedule):
        schedule = {"epochs": epochs, "validate_every": epochs} | schedule
        chosen = config(dimensions=8, steps=4, learning_rate=0.02, schedule=schedule)
        return training(experiment, chosen, tmp_path / file, CPU)

    return trained


def test_it_learns_whom_an_item_is_for_and_folds_in_those_it_never_met(experiment, train):
    base = train(experiment, "base", 12)

    indptr, indices = experiment.train
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    others = np.random.default_rng(1).integers(len(base.items), size=len(owners))
    scores = base.users @ base.items.T
    assert (scores[owners, indices] > scores[owners, others]).mean() > 0.75
    new = np.flatnonzero(experiment.folded_in)
    folded = base.history.user_vectors([experiment.held_out.history(row) for row in new], base.items)
    np.testing.assert_allclose(base.users[new], folded, rtol=1e-5, atol=1e-6)


def test_a_modality_that_knows_what_users_like_helps(experiment, train):
    """Made of all positives, the held-out ones among them; beside the same numbers given to the wrong items."""
    dataset = without_cold(experiment).dataset
    sizes = len(dataset.users), len(dataset.items)
    liked = csr_matrix((dataset.positive.astype(float), dataset.indices, dataset.indptr), sizes).toarray()
    told = np.linalg.svd(liked - liked.mean(0), full_matrices=False)[2][:8].T.astype(np.float32)
    found = []
    for rows in (np.arange(len(told)), np.random.default_rng(0).permutation(len(told))):
        planted = replace(dataset.modalities[0], values=told[rows], present=np.ones(len(told), np.bool_))
        one = replace(experiment, dataset=replace(dataset, modalities=(planted,)))
        base = train(one, str(len(found)), 10)
        found.append(validation_ndcg(one, base.selection, base.items))

    assert found[0] > found[1] + 0.02


def test_training_knows_nothing_of_cold_items(experiment, train):
    one, other = train(experiment, "with", 2), train(without_cold(experiment), "without", 2)

    assert (one.users == other.users).all()
    assert (one.items == other.items).all()
    assert other.cold is None


def test_a_modality_of_cold_items_alone_tells_nothing(experiment, train):
    dataset = experiment.dataset
    looks, sound = dataset.modalities
    of_cold = replace(sound, present=sound.present & (np.arange(len(sound.present)) >= len(dataset.items)))

    one, other = (
        train(replace(experiment, dataset=replace(dataset, modalities=some)), str(len(some)), 2)
        for some in ((looks, of_cold), (looks,))
    )

    assert (one.items == other.items).all()


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(experiment, train, tmp_path, broken_off):
    often = {"validate_every": 2, "checkpoint_s": 0}

    whole = train(experiment, "whole", 4, **often)
    train(experiment, "parts", 2, **often)
    broken_off(tmp_path / "parts")
    parts = train(experiment, "parts", 4, **often)

    assert np.array_equal(whole.users, parts.users)
    assert np.array_equal(whole.items, parts.items)


def test_data_without_features_are_refused(name):
    data = {name: value for name, value in GENERATED.items() if name not in ("modalities", "cold_items", "featureless")}
    config = RunConfig.model_validate({"name": "mm", "data": data, "base": {"model": name}})

    with pytest.raises(ConfigError, match=rf"base\.model: '{name}' needs item features"):
        experiment_of(config, load(config.data, None))


def test_fewer_dimensions_than_modalities_are_refused():
    fields = {"name": "mm", "data": GENERATED, "fair": {"method": "afrl"}}
    config = RunConfig.model_validate(fields | {"base": {"model": "dragon", "dimensions": 1}})

    with pytest.raises(ConfigError, match=r"base\.dimensions: 1 are shared out among the 2 modalities; allowed: at le"):
        experiment_of(config, load(config.data, None))
