"""What a stage looks at is bounded: with low bounds, a small run goes the way of a large one."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from bundle import read_bundle
from measure.split import AUDIT
from training import experiment, export
from training.base.als import AlsConfig
from training.base.train import train_base
from training.base.validation import full_validation_ndcg, validation_ndcg
from training.data.split import hold_out, split_users
from training.experiment import Experiment, evenly, rows_of
from training.fair import select
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.train import train_lattice
from training.run import run

pytestmark = pytest.mark.usefixtures("short_teachers")

CPU = torch.device("cpu")
ALS = {"model": "als", "dimensions": 8, "iterations": 2}


@pytest.fixture
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "strict", 5)


@pytest.fixture
def a_base(an_experiment, tmp_path):
    return train_base(an_experiment, AlsConfig.model_validate(ALS), tmp_path / "base.safetensors", CPU)


def test_rows_are_taken_evenly_and_all_where_they_are_few():
    assert evenly(np.arange(5), 5).tolist() == [0, 1, 2, 3, 4]
    assert evenly(np.arange(100), 3).tolist() == [0, 49, 99]
    assert [each.tolist() for each in rows_of(np.array([2, 0]), (np.array([0, 2, 2, 5]), np.arange(5)))] == [
        [0, 3, 5],
        [2, 3, 4, 0, 1],
    ]


def test_history_and_validation_positive_of_everybody_are_what_each_user_has(an_experiment):
    held_out = an_experiment.held_out

    indptr, indices = held_out.before_test()

    for user in range(len(an_experiment.dataset.users)):
        own = indices[indptr[user] : indptr[user + 1]]
        assert own.tolist() == held_out.history(user, with_validation=True).tolist()


def test_a_bounded_validation_ranks_some_users_and_no_others(an_experiment, a_base, monkeypatch):
    everybody = validation_ndcg(an_experiment, a_base.selection, a_base.items)
    monkeypatch.setattr(experiment, "VALIDATED_AT_MOST", 40)
    some = replace(an_experiment)

    assert some.validation_negatives.shape == (40, 99)
    assert 0 < validation_ndcg(some, a_base.selection, a_base.items) != everybody
    positive, negatives = some.validation_of(np.arange(len(some.dataset.users)))
    assert np.flatnonzero(positive >= 0).tolist() == some.validated.tolist()
    assert negatives[some.validated].tolist() == some.validation_negatives.tolist()
    unseen = full_validation_ndcg(some, a_base.selection, a_base.items)
    assert 0 < unseen < 1


def test_a_lattice_is_fitted_on_some_users_and_splits_everybody(an_experiment, a_base, monkeypatch):
    monkeypatch.setattr(select, "ATTACKED_AT_MOST", 50)
    config = LatticeConfig(fitted_on=80)
    fitted_on = evenly(np.arange(len(a_base.users)), 80)
    moved = a_base.users.copy()
    moved[np.setdiff1d(np.arange(len(moved)), fitted_on)] += 1

    def constants(base):
        plain = config.model_copy(update={"leakage_at_most": 1.0})
        return train_lattice(an_experiment, base, plain).encoder.state_dict()

    one, other = constants(a_base), constants(replace(a_base, users=moved))

    assert all(torch.equal(value, other[name]) for name, value in one.items())
    encoder = train_lattice(an_experiment, a_base, config).encoder
    assert encoder.split(torch.from_numpy(a_base.users)).isfinite().all()


def test_parts_taken_some_users_at_a_time_are_those_of_everybody(a_run, out, cpu, monkeypatch):
    monkeypatch.setattr(export, "_BLOCK_USERS", 17)

    bundle = read_bundle(run(a_run(base=ALS, fair={"method": "lattice"}), None, out, cpu))

    with torch.no_grad():
        parts = bundle.encoder.split(torch.from_numpy(np.array(bundle.audit.base))).numpy()
    np.testing.assert_allclose(bundle.users.parts, parts, atol=1e-5)


def test_a_card_over_some_audit_users_says_so(a_run, out, cpu):
    config = a_run(base=ALS, fair={"method": "lattice"}, audit_users=12)

    bundle = read_bundle(run(config, None, out, cpu))

    assert (bundle.audit.split == AUDIT).sum() > 12
    assert {row["n"] for row in bundle.card["accuracy"]["by_mask"]} == {12}


def test_a_run_tells_what_each_stage_took(a_run, out, cpu, caplog):
    caplog.set_level(logging.INFO, "training.stages")

    run(a_run(base=ALS, fair={"method": "lattice"}), None, out, cpu)

    told = [re.match(r"stage (\w+): [\d.]+ s, [\d.]+ s of processors", each.message) for each in caplog.records]
    names = [match[1] for match in told if match]
    assert names == ["data", "base", "fair", "export", "card", "bundle"]
