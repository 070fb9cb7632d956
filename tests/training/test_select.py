"""What nothing was measured of on select users is said to be so, and a demand on it is refused before training."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from measure.leakage import Users
from measure.split import SELECT
from training.data.split import hold_out
from training.errors import ConfigError
from training.experiment import Experiment
from training.fair import select
from training.fair.lattice.config import LatticeConfig
from training.fair.select import by_accuracy_and_leakage, selection_leakage, unmeasured_on_select
from training.fair.train import refuse_unfit


@pytest.fixture
def experiment(small_data, a_run):
    """Ninety select users: enough for gender and for ages in ranges."""
    split = np.where(np.arange(len(small_data.users)) < 90, SELECT, 0).astype(np.uint8)
    return Experiment(small_data, hold_out(small_data), split, "strict", seed=1)


def few(experiment, attribute="gender"):
    """The same, with that attribute known of forty of them."""
    column = experiment.attributes.index(attribute)
    labels = experiment.dataset.labels.copy()
    labels[40:90, column] = -1
    return replace(experiment, dataset=replace(experiment.dataset, labels=labels))


def test_too_few_users_to_attack_give_no_number():
    labels = np.array([0] * 20 + [1] * 20)

    assert selection_leakage(np.ones((40, 2)), labels, Users(np.arange(40)), "gender", seed=0) is None


def test_what_select_users_show_leaves_out_what_they_are_too_few_for(experiment, monkeypatch):
    users = np.random.default_rng(0).normal(size=(len(experiment.dataset.users), 8)).astype(np.float32)
    monkeypatch.setattr(select, "fair_vectors", lambda encoder, users, protect: users)

    found = select.shown_by(few(experiment), SimpleNamespace(users=users))(None, experiment.attributes)

    assert "gender" not in found
    assert "age" in found
    assert all(0.5 <= each.auc <= 1 and 0.5 < each.by_chance < 1 for each in found.values())


def test_what_cannot_be_measured_on_select_users_is_known_beforehand(experiment):
    assert "gender" not in unmeasured_on_select(experiment)

    assert "40 users, at least 60 needed" in unmeasured_on_select(few(experiment))["gender"]


@pytest.mark.parametrize(("most", "refused"), [(0.6, True), (0.9, True), (1.0, False), (None, False)])
def test_a_demand_that_cannot_be_checked_is_refused_before_training(experiment, a_run, most, refused):
    experiment, config = few(experiment), LatticeConfig(leakage_at_most=most)
    base = a_run().base

    if not refused:
        refuse_unfit(experiment, base, config)
        return
    with pytest.raises(ConfigError, match=r"fair\.leakage_at_most.*gender.*40 users, at least 60 needed"):
        refuse_unfit(experiment, base, config)


def test_an_epoch_is_chosen_by_what_is_measured_alone():
    class Same:
        users = None

        def ndcg(self, vectors):
            return 1.0

        def fair(self, encoder, mask):
            return mask

    def leaked(vectors, name):
        return {"gender": 0.7, "age": None}[name]

    def score(*masks):
        return by_accuracy_and_leakage(Same(), masks, leaked, price=1.0)(None)

    assert score(("gender",), ("age",)) == pytest.approx(0.8)  # not .9: nothing known is no chance
    assert score(("age",)) == 1.0
