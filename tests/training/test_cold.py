"""Vectors of cold items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.features import GENERATED
from training.base.cold import cold_vectors, described
from training.base.contract import Base
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError, TooLittleDataError

DATA = GENERATED | {"modalities": {"looks": {}, "genres": {"text": "groups", "dimensions": 8}}}


def config_of(data=(), **fields):
    return RunConfig.model_validate({"name": "cold", "threads": 1, "data": DATA | dict(data)} | fields)


@pytest.fixture(scope="module")
def experiment():
    config = config_of()
    return experiment_of(config, load(config.data, None))


def base_of(experiment, items, cosine=False):
    """A base with item vectors (I, d) and nothing else that the map reads."""
    nothing = np.zeros((len(experiment.dataset.users), items.shape[1]), np.float32)
    return Base("als", nothing, nothing, items.astype(np.float32), None, None, cosine=cosine)  # type: ignore[arg-type]


def planted(experiment, noise=0.0):
    """Vectors of all items, cold ones last, that are a linear function of their features."""
    rng = np.random.default_rng(0)
    inputs = described(experiment, np.arange(len(experiment.dataset.items)))
    return inputs @ rng.normal(size=(inputs.shape[1], 5)) + noise * rng.normal(size=(len(inputs), 5)) + 3


def test_what_features_decide_cold_items_get(experiment):
    vectors = planted(experiment)
    count = len(experiment.dataset.items)

    found = cold_vectors(experiment, base_of(experiment, vectors[:count]))

    assert found.ridge.explained > 0.98
    error = ((found.vectors - vectors[count:]) ** 2).mean() / vectors[count:].var()
    assert error < 0.05


def test_what_features_do_not_decide_is_said_to_be_unexplained(experiment):
    noise = np.random.default_rng(1).normal(size=(len(experiment.dataset.items), 5))

    found = cold_vectors(experiment, base_of(experiment, noise))

    assert found.ridge.explained < 0.05
    assert np.abs(found.vectors - noise.mean(0)).max() < 1  # near what is usual


def test_vectors_have_length_one_where_only_directions_count(experiment):
    vectors = planted(experiment)[: len(experiment.dataset.items)]

    found = cold_vectors(experiment, base_of(experiment, vectors, cosine=True))

    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)


def test_an_item_without_a_modality_is_marked_and_changes_no_mean(experiment):
    rows = np.arange(len(experiment.dataset.items))
    looks = next(each for each in experiment.dataset.modalities if each.name == "looks")
    place = [each.name for each in experiment.dataset.modalities].index("looks")
    before = sum(each.values.shape[1] + (not each.present.all()) for each in experiment.dataset.modalities[:place])

    inputs = described(experiment, rows)[:, before:][:, : looks.values.shape[1] + 1]

    assert np.isfinite(inputs).all()
    have = rows[looks.present[rows]]
    np.testing.assert_allclose(inputs[have, :-1].mean(0), 0, atol=1e-6)
    np.testing.assert_array_equal(inputs[~looks.present, :-1], 0)
    assert len({*inputs[looks.present, -1], *inputs[~looks.present, -1]}) == 2


def test_nothing_is_made_where_nothing_is_cold(experiment):
    without = replace(experiment, dataset=load(config_of({"cold": "drop"}).data, None))

    assert cold_vectors(without, base_of(experiment, planted(experiment)[:80])) is None


@pytest.mark.parametrize("model", ["deep", "autorec", "multvae", "diffrec", "fairgan"])
def test_a_base_that_cannot_have_cold_items_is_refused_before_training(model):
    config = config_of(base={"model": model}, fair={"method": "lattice"})

    with pytest.raises(ConfigError, match=rf"base.model: '{model}' .*data.cold = 'drop'"):
        experiment_of(config, load(config.data, None))


def test_too_few_items_with_features_are_refused_before_training():
    config = config_of({"modalities": {"looks": {}}, "featureless": 0.95, "cold_items": 60})

    with pytest.raises(TooLittleDataError, match="items with features and a training positive"):
        experiment_of(config, load(config.data, None))
