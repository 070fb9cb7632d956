"""ALS: vectors are solutions of the normal equations, chosen on validation positives, the same on every run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from bundle import read_bundle
from training.base.als import AlsConfig, AlsStage
from training.base.train import train_base
from training.config import RunConfig
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.run import run

CPU = torch.device("cpu")
SEARCH = {"regularization": [1, 10], "alpha": [2, 8]}


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "strict", 5, 0.1, "s")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def a_config(**changes):
    return AlsConfig.model_validate({"dimensions": 8, "iterations": 4, "regularization": 5, "alpha": 3} | changes)


def test_a_users_vector_solves_the_normal_equations_of_all_positives_before_the_test_positive(an_experiment, tmp_path):
    base = train_base(an_experiment, a_config(), tmp_path / "base.safetensors", CPU)

    items = base.items.astype(np.float64)
    for user in (0, 57, int(np.flatnonzero(an_experiment.folded_in)[0])):
        history = an_experiment.held_out.history(user, with_validation=True)
        confidence = np.ones(len(items))
        confidence[history] = 3
        liked = np.isin(np.arange(len(items)), history)
        a = items.T @ (confidence[:, None] * items) + 5 * np.eye(8)
        expected = np.linalg.solve(a, items.T @ (confidence * liked))
        assert np.allclose(base.users[user], expected, atol=1e-5)


def test_items_are_trained_on_training_positives_alone(an_experiment, tmp_path):
    held_out = an_experiment.held_out
    swapped = dataclasses.replace(held_out, validation=held_out.test, test=held_out.validation)
    other = dataclasses.replace(an_experiment, held_out=swapped)

    one = train_base(an_experiment, a_config(), tmp_path / "one.safetensors", CPU)
    two = train_base(other, a_config(), tmp_path / "two.safetensors", CPU)

    assert np.array_equal(one.items, two.items)
    assert np.array_equal(one.selection, two.selection)
    assert not np.array_equal(one.users, two.users)


def test_the_search_keeps_the_pair_that_ranks_validation_positives_best(an_experiment, tmp_path):
    scores = {}
    for regularization in SEARCH["regularization"]:
        for alpha in SEARCH["alpha"]:
            stage = AlsStage(a_config(regularization=regularization, alpha=alpha), an_experiment, CPU)
            for _ in range(4):
                stage.epoch(torch.Generator())
            scores[regularization, alpha] = stage.validate(), stage.vectors()[1]
    best = max(scores, key=lambda pair: scores[pair][0])

    base = train_base(an_experiment, a_config(search=SEARCH), tmp_path / "base.safetensors", CPU)

    assert len({score for score, _ in scores.values()}) > 1
    assert np.array_equal(base.items, scores[best][1])
    assert (base.history.ridge, base.history.weight) == (best[0], best[1] - 1)


def test_a_search_that_was_broken_off_ends_where_an_unbroken_one_does(an_experiment, tmp_path, monkeypatch):
    config = a_config(search=SEARCH, checkpoint_s=0)
    whole = train_base(an_experiment, config, tmp_path / "whole.safetensors", CPU)
    epoch = AlsStage.epoch

    def breaks(stage, rng):
        if stage._epochs == 10:
            raise KeyboardInterrupt
        return epoch(stage, rng)

    monkeypatch.setattr(AlsStage, "epoch", breaks)
    with pytest.raises(KeyboardInterrupt):
        train_base(an_experiment, config, tmp_path / "broken.safetensors", CPU)
    monkeypatch.setattr(AlsStage, "epoch", epoch)
    resumed = train_base(an_experiment, config, tmp_path / "broken.safetensors", CPU)

    assert np.array_equal(resumed.users, whole.users)
    assert np.array_equal(resumed.items, whole.items)


def test_two_runs_on_two_threads_give_the_same_content_hash(a_run, out, two_threads):
    config = a_run(base={"dimensions": 8, "iterations": 4, "search": SEARCH}, threads=2)

    hashes = {read_bundle(run(config, None, out / name, CPU)).description.content_hash for name in ("one", "two")}

    assert len(hashes) == 1


def test_als_is_what_a_configuration_without_a_base_trains():
    config = RunConfig.model_validate({"name": "plain", "data": {"reader": "auto"}})

    assert config.base == AlsConfig()


@pytest.mark.parametrize("field", [{"alpha": 0.5}, {"search": {"alpha": [3, 0.5]}}, {"regularization": 0}])
def test_what_could_leave_a_history_without_a_solution_is_refused(field):
    with pytest.raises(ValueError, match="greater than"):
        AlsConfig.model_validate(field)
