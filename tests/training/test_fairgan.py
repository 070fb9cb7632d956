"""FairGAN, a variant, against docs/algorithms/fairgan.md."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from measure.fairness.catalogue import gini as gini_of
from measure.fairness.catalogue import item_exposure
from measure.ranking import top_items
from measure.scoring import Scorer
from training.base.autoencoder.adversary import critic_loss, exposures, gini
from training.base.autoencoder.config import FairganConfig
from training.base.autoencoder.fairgan import FairganModel, listed
from training.base.autoencoder.stage import Rows, RowsStage
from training.base.autoencoder.train import train_autoencoder
from training.base.validation import validation_ndcg
from training.data.split import hold_out, split_users
from training.experiment import Experiment

CPU = torch.device("cpu")
POSITIVES = np.array([0, 2, 2, 5], np.int64), np.array([1, 0, 4, 0, 1], np.int32)
ROWS = torch.tensor([[1.0, 1, 0, 0, 0], [1, 1, 0, 0, 1]])
SMALL = {"dimensions": 3, "hidden": 4, "dropout": 0}


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "strict", 5, 0.1, "s")


def rng(seed=1):
    return torch.Generator().manual_seed(seed)


def a_model(**changes):
    return FairganModel(5, FairganConfig(**SMALL | changes), rng())


def test_exposure_by_rank_is_that_of_the_lists_that_are_audited():
    scores = torch.randn(20, 9, generator=rng())
    lists = (-scores).argsort(1).numpy().astype(np.int32)

    found = exposures(scores)

    together = item_exposure(lists, 9)
    np.testing.assert_allclose(found.mean(1), 1, rtol=1e-6)
    np.testing.assert_allclose(found.sum(0), together / together.mean() * 20, rtol=1e-5)


def test_the_gini_coefficient_is_that_of_an_audit_and_is_made_small_by_giving_less_to_what_has_most():
    exposure = torch.tensor([0.5, 3.0, 1.0, 0.0], requires_grad=True)

    found = gini(exposure)
    found.backward()

    assert float(found.detach()) == pytest.approx(gini_of(exposure.detach().numpy()))
    assert int(exposure.grad.argmax()) == 1
    assert int(exposure.grad.argmin()) == 3


def test_a_critics_loss_is_that_of_the_page():
    weights = torch.tensor([[3.0], [0.0], [4.0]])
    real, fake = torch.tensor([[1.0, 1, 0], [0, 1, 1]]), torch.tensor([[0.5, 0, 0], [0, 0, 0.5]])

    found = critic_loss(lambda row: row @ weights, real, fake, 0.1, rng())

    assert float(found) == pytest.approx((1.5 + 2) / 2 - (3 + 4) / 2 + 0.1 * (5 - 1) ** 2)


def test_own_items_are_behind_all_others():
    made = torch.tanh(torch.randn(2, 5, generator=rng()))

    order = listed(made, ROWS).argsort(1)

    assert set(order[0, :2].tolist()) == {0, 1}
    assert set(order[1, :3].tolist()) == {0, 1, 4}


def test_the_generators_loss_is_that_of_the_page():
    model = a_model(fairness_weight=2.0)
    with torch.no_grad():
        u = torch.sigmoid(ROWS @ model.network.table + model.network.bias)
        made = torch.tanh(u @ model.items.T + model.biases)
        read = made * (1 - ROWS) - ROWS
        guess = torch.softmax(model.controller.scale * read + model.controller.added(read), 1) * 5
        expected = -model.critic(torch.cat([made, ROWS], 1)).mean() + 2 * gini_of(guess.mean(0).numpy())

    assert float(model.loss(ROWS, rng()).detach()) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_where_answers_are_masked_nothing_is_learned_of_items_that_a_row_has_not(masked):
    model = a_model(fairness_weight=0, masked=masked)

    model.loss(ROWS[:1], rng()).backward()

    moved = (model.biases.grad != 0).tolist()
    assert moved == [True, True, not masked, not masked, not masked]


@pytest.mark.parametrize(("weight", "still"), [(0.0, {"controller", "judge"}), (1.0, set())])
def test_each_network_is_trained_and_without_a_weight_no_controller_is(weight, still):
    config = FairganConfig(**SMALL, fairness_weight=weight, batch=1)
    model = FairganModel(5, config, rng())
    parts = {name: getattr(model, name) for name in ("network", "critic", "controller", "judge")}
    before = {name: [value.clone() for value in part.parameters()] for name, part in parts.items()}

    RowsStage(model, config, Rows(POSITIVES, 5, CPU), lambda: 0.0).epoch(rng())

    unmoved = {n for n, part in parts.items() if all(map(torch.equal, part.parameters(), before[n]))}
    assert unmoved == still


@pytest.mark.parametrize("name", ["critic", "judge", "controller", "adam"])
def test_a_loss_moves_its_own_network_alone(name):
    model = a_model()
    own = {"adam": {"network.table", "network.bias", "items", "biases"}}
    loss, optimiser = model.optimisers()[name]
    before = {key: value.clone() for key, value in model.named_parameters()}

    optimiser.zero_grad()
    loss(ROWS, rng()).backward()
    optimiser.step()

    moved = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert moved
    assert moved <= own.get(name, {key for key in before if key.startswith(f"{name}.")})


def learned(experiment, path, **changes):
    fields = {"dimensions": 8, "hidden": 32, "batch": 32, "learning_rate": 1e-2, "critic_learning_rate": 1e-2}
    fields["controller_learning_rate"] = 3e-3
    schedule = {"epochs": 20, "validate_every": 20}
    return train_autoencoder(experiment, FairganConfig(**fields | {"schedule": schedule} | changes), path, CPU)


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(an_experiment, tmp_path, broken_off):
    def train(epochs, name):
        schedule = {"epochs": epochs, "validate_every": 1, "checkpoint_s": 0}
        return learned(an_experiment, tmp_path / name, schedule=schedule)

    whole = train(2, "whole")
    train(1, "parts")
    broken_off(tmp_path / "parts")
    again = train(2, "parts")

    assert (again.users == whole.users).all()
    assert (again.items == whole.items).all()


def shown(experiment, users, items):
    """How unevenly lists of ten show the items: the Gini coefficient of their exposure, as an audit has it."""
    return gini_of(item_exposure(top_items(users, Scorer(items), 10, experiment.train), len(items)))


def test_it_learns_more_than_what_is_popular_and_reads_every_user_from_the_history(an_experiment, tmp_path):
    items = len(an_experiment.dataset.items)
    popular = np.bincount(an_experiment.train[1], minlength=items).astype(np.float32)[:, None]
    alike = np.ones((len(an_experiment.dataset.users), 1), np.float32)

    base = learned(an_experiment, tmp_path / "base", fairness_weight=0)

    most_popular = validation_ndcg(an_experiment, alike, popular)
    assert validation_ndcg(an_experiment, base.selection, base.items) > most_popular + 0.02
    histories = [an_experiment.held_out.history(row, with_validation=True) for row in range(len(base.users))]
    np.testing.assert_allclose(base.users, base.history.user_vectors(histories, base.items), atol=1e-6)
    assert base.history.network.kind == "autorec"


def test_a_higher_weight_spreads_what_lists_show_over_more_of_the_items(an_experiment, tmp_path):
    bases = [learned(an_experiment, tmp_path / str(weight), fairness_weight=weight) for weight in (0, 10)]

    without, priced = (shown(an_experiment, base.selection, base.items) for base in bases)

    assert priced < without - 0.05
