"""LightGCN against its page: dense matrices give the same vectors, gradients and scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.base.lightgcn import Graph, Lightgcn, LightgcnConfig, LightgcnStage, train_lightgcn
from training.data.split import hold_out, split_users
from training.experiment import Experiment

CPU = torch.device("cpu")
POSITIVES = np.array([0, 2, 3, 3, 6], np.int64), np.array([1, 0, 4, 0, 1, 4], np.int32)
"""Four users, the third without any; of five items two that nobody has."""
USERS, ITEMS = 4, 5
CONFIG = LightgcnConfig(dimensions=3, layers=2)


@pytest.fixture
def model():
    return Lightgcn(Graph(POSITIVES, ITEMS, CONFIG.layers, CPU), USERS, ITEMS, CONFIG, seed=4)


def dense_operator(layers):
    """(U + I, U + I) mean of the powers 0 … K of D^-½ A D^-½, by the page."""
    indptr, indices = POSITIVES
    adjacency = np.zeros((USERS + ITEMS, USERS + ITEMS))
    for user in range(USERS):
        for item in indices[indptr[user] : indptr[user + 1]]:
            adjacency[user, USERS + item] = adjacency[USERS + item, user] = 1
    degrees = adjacency.sum(1)
    scale = np.diag([1 / np.sqrt(degree) if degree else 0 for degree in degrees])
    step = scale @ adjacency @ scale
    return sum(np.linalg.matrix_power(step, power) for power in range(layers + 1)) / (layers + 1)


@pytest.fixture(scope="module")
def an_experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "strict", 5, 0.1, "s")


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_vectors_are_means_over_the_layers_of_the_page(layers):
    config = CONFIG.model_copy(update={"layers": layers})
    model = Lightgcn(Graph(POSITIVES, ITEMS, layers, CPU), USERS, ITEMS, config, seed=4)
    tables = torch.cat([model.users, model.items]).detach().numpy()

    found = np.concatenate(model.vectors())

    np.testing.assert_allclose(found, dense_operator(layers) @ tables, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_dense_product(model):
    rows = torch.tensor([0, 1, 3]), torch.tensor([1, 4, 0]), torch.tensor([2, 3, 2])
    operator = torch.from_numpy(dense_operator(CONFIG.layers)).float()
    tables = torch.cat([model.users, model.items]).detach().requires_grad_()
    u, v = (operator @ tables).split([USERS, ITEMS])
    expected = torch.nn.functional.softplus((u[rows[0]] * (v[rows[2]] - v[rows[1]])).sum(1)).mean()
    expected.backward()

    loss = model(*rows)
    loss.backward()

    assert torch.allclose(loss, expected, atol=1e-6)
    assert torch.allclose(torch.cat([model.users.grad, model.items.grad]), tables.grad, atol=1e-6)


def test_who_has_no_neighbour_keeps_a_share_of_the_own_vector(model):
    users, items = model.vectors()

    np.testing.assert_allclose(users[2], model.users[2].detach().numpy() / 3, rtol=1e-6)
    np.testing.assert_allclose(items[3], model.items[3].detach().numpy() / 3, rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 7, 10**9])
def test_an_epoch_visits_every_positive_in_so_many_steps(an_experiment, steps, monkeypatch):
    config = LightgcnConfig(dimensions=4, steps=steps)
    graph = Graph(an_experiment.train, len(an_experiment.dataset.items), 2, CPU)
    users, items = len(an_experiment.dataset.users), len(an_experiment.dataset.items)
    stage = LightgcnStage(Lightgcn(graph, users, items, config, seed=1), config, an_experiment)
    seen = []
    whole = Lightgcn.forward
    monkeypatch.setattr(Lightgcn, "forward", lambda self, *rows: (seen.append(rows[:2]), whole(self, *rows))[1])

    rows = stage.epoch(torch.Generator().manual_seed(1))

    indptr, indices = an_experiment.train
    assert rows == len(indices)
    assert len(seen) == min(steps, rows)
    visited = torch.cat([torch.stack(pair) for pair in seen], 1).T.tolist()
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    assert sorted(map(tuple, visited)) == sorted(zip(owners.tolist(), indices.tolist(), strict=True))


def test_it_learns_and_users_that_it_never_met_are_folded_in(an_experiment, tmp_path):
    def train(epochs, name):
        config = LightgcnConfig(dimensions=8, steps=4, schedule={"epochs": epochs, "validate_every": epochs or 1})
        return train_lightgcn(an_experiment, config, tmp_path / name, CPU)

    def preferred(base):
        """How often a user's training positive is above an item drawn at random."""
        indptr, indices = an_experiment.train
        owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        scores = base.users @ base.items.T
        others = np.random.default_rng(1).integers(len(base.items), size=len(owners))
        return (scores[owners, indices] > scores[owners, others]).mean()

    start, trained = train(0, "start"), train(20, "trained")

    assert preferred(trained) > preferred(start) + 0.1
    new = np.flatnonzero(an_experiment.folded_in)
    assert len(new)
    histories = [an_experiment.held_out.history(row) for row in new]
    np.testing.assert_allclose(
        trained.users[new], trained.history.user_vectors(histories, trained.items), rtol=1e-5, atol=1e-6
    )


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(an_experiment, tmp_path, broken_off):
    def train(epochs, name):
        schedule = {"epochs": epochs, "validate_every": 2, "checkpoint_s": 0}
        return train_lightgcn(
            an_experiment, LightgcnConfig(dimensions=4, steps=3, schedule=schedule), tmp_path / name, CPU
        )

    whole = train(4, "whole")
    train(2, "parts")
    broken_off(tmp_path / "parts")
    again = train(4, "parts")

    assert (again.users == whole.users).all()
    assert (again.items == whole.items).all()
