"""Users that the base model is not to know: it does not, and gets a vector for them all the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bundle import read_bundle
from measure.split import AUDIT
from training.base.pmf import PmfConfig
from training.base.train import train_base
from training.data.split import MOST_NEW, draw_new_users, hold_out, split_users
from training.errors import ConfigError
from training.experiment import Experiment
from training.export import export
from training.fair.train import train_fair

BASE = PmfConfig(dimensions=8, learning_rate=1e-2, batch=512, schedule={"epochs": 4})


def an_experiment(dataset, mode="strict", new_users=0.1):
    split = split_users(dataset.users, "salt")
    return Experiment(dataset, hold_out(dataset), split, mode, 5, new_users, "salt")


def turned_around(dataset, users):
    """The same data, but these users have dealt with the items at the other end of the catalogue, positively."""
    owners = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))
    mine = users[owners]
    indices = np.where(mine, len(dataset.items) - 1 - dataset.indices, dataset.indices).astype(np.int32)
    return dataclasses.replace(dataset, indices=indices, positive=dataset.positive | mine)


@pytest.mark.parametrize("mode", ["strict", "reproduce"])
def test_the_base_of_the_others_does_not_depend_on_what_new_users_did(small_data, tmp_path, cpu, mode):
    experiment = an_experiment(small_data, mode)
    new = experiment.folded_in
    changed = an_experiment(turned_around(small_data, new), mode)

    one = train_base(experiment, BASE, tmp_path / "a.safetensors", cpu)
    other = train_base(changed, BASE, tmp_path / "b.safetensors", cpu)

    assert 0 < new.sum() < (experiment.user_split == AUDIT).sum()
    assert np.array_equal(one.items, other.items)
    assert np.array_equal(one.users[~new], other.users[~new])
    assert not np.array_equal(one.users[new], other.users[new])


def test_new_users_get_the_vector_that_serving_would_give_to_their_history(small_data, tmp_path, cpu):
    experiment = an_experiment(small_data)
    base = train_base(experiment, BASE, tmp_path / "base.safetensors", cpu)

    row = np.flatnonzero(experiment.folded_in)[0]
    start, end = experiment.held_out.train_indptr[row : row + 2]
    history = experiment.held_out.train_indices[start:end]

    assert np.array_equal(base.users[row], base.history.user_vectors([history], base.items)[0])
    assert experiment.train[0][row] == experiment.train[0][row + 1]
    assert experiment.validation[row] == -1


def test_the_bundle_says_who_they_are(a_run, small_data, out, cpu):
    from bundle import write_bundle

    config = a_run()
    experiment = an_experiment(small_data)
    base = train_base(experiment, config.base, out / "base.safetensors", cpu)
    fair = train_fair(experiment, base, config.fair, out, cpu)

    path = write_bundle(export(config, experiment, fair), out)

    assert np.array_equal(read_bundle(path).audit.folded_in, experiment.folded_in)


def test_nobody_is_new_unless_asked_for(small_data):
    experiment = an_experiment(small_data, new_users=0.0)

    assert not experiment.folded_in.any()
    assert experiment.train[1] is experiment.held_out.train_indices


def test_a_share_of_all_users_is_drawn_among_audit_users_and_grows_by_adding():
    users = [f"user {row}" for row in range(20_000)]
    split = split_users(users, "salt")

    few, more, others = (
        draw_new_users(users, split, *draw) for draw in (("salt", 0.05), ("salt", 0.1), ("pepper", 0.1))
    )

    assert few.mean() == pytest.approx(0.05, abs=0.005)
    assert more.mean() == pytest.approx(0.1, abs=0.005)
    assert (split[more] == AUDIT).all()
    assert (few <= more).all()
    assert 0.25 < others[more].mean() < 0.42


@pytest.mark.parametrize("share", [-0.1, MOST_NEW + 0.01, 1.0])
def test_a_share_that_leaves_too_few_audit_users_is_refused(small_data, share):
    with pytest.raises(ConfigError, match="new_users"):
        _ = an_experiment(small_data, new_users=share).folded_in
