"""FREEDOM against its page: dense matrices give the same graphs, vectors and cold items."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.features import COLD, GENERATED, ITEMS, POSITIVES, USERS, modality, without_cold
from training.base.freedom import Freedom, FreedomConfig, Thinned, train_freedom
from training.base.item_graph import FrozenItemGraph
from training.base.lightgcn import Graph
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError

CPU = torch.device("cpu")
CONFIG = FreedomConfig(dimensions=3, neighbours=2, dropped=0.5)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


MODALITIES = modality("plot", 5, lacking=(6,)), modality("sound", 3, lacking=(1, 6))


def built(config=CONFIG):
    whole = Graph(POSITIVES, ITEMS, 2, CPU)
    thinned = Thinned(POSITIVES, ITEMS, 2, config.dropped, CPU)
    of_items = FrozenItemGraph(MODALITIES, ITEMS, config.neighbours, CPU)
    features = [torch.from_numpy(np.nan_to_num(each.values[:ITEMS])) for each in MODALITIES]
    present = torch.from_numpy(np.column_stack([each.present[:ITEMS] for each in MODALITIES]))
    return Freedom(whole, thinned, of_items, features, present, USERS, config, seed=4)


def dense_graph(k=2):
    """(I + C, I) by the page."""
    total, many = np.zeros((ITEMS + COLD, ITEMS)), np.zeros(ITEMS + COLD)
    for each in MODALITIES:
        known = each.present[:ITEMS]
        x = each.values - each.values[:ITEMS][known].mean(0)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        for row in np.flatnonzero(each.present):
            cosines = np.where(known, np.nan_to_num(x[:ITEMS] @ x[row]), -np.inf)
            total[row, np.argsort(-cosines, kind="stable")[:k]] += 1 / k
        many += each.present
    return total / np.maximum(many, 1)[:, None]


def lightgcn_vectors(model):
    return [
        each.numpy() for each in Graph(POSITIVES, ITEMS, 2, CPU).propagated(model.users.detach(), model.items.detach())
    ]


@pytest.mark.parametrize("steps", [1, 2])
def test_item_vectors_are_those_of_lightgcn_and_of_what_is_alike(steps):
    model = built(CONFIG.model_copy(update={"item_layers": steps}))
    model.epoch_begins(rng())
    users, items = lightgcn_vectors(model)

    found_users, found_items = model.vectors()

    alike = np.linalg.matrix_power(dense_graph()[:ITEMS], steps) @ model.items.detach().numpy()
    np.testing.assert_allclose(found_users, users, rtol=1e-5)
    np.testing.assert_allclose(found_items, items + alike, rtol=1e-4, atol=1e-6)


def test_a_cold_item_has_its_neighbours_mean_and_what_is_like_it():
    model, near = built(), dense_graph()[ITEMS:]
    _, items = lightgcn_vectors(model)

    found = model.cold_vectors()

    np.testing.assert_allclose(found, near @ items + near @ model.items.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert not found[0].any(), "nothing is known of it"
    assert found[1].any()


def test_the_weights_of_an_items_neighbours_are_one_together_whatever_it_lacks():
    of_items = FrozenItemGraph(MODALITIES, ITEMS, 2, CPU)

    assert of_items.weights.sum(1).numpy() == pytest.approx([1, 1, 1, 1, 1, 1, 0, 1])


# --- the thinned graph ---------------------------------------------------------------------------------------------


def edges_of(graph):
    neighbours, begins, weights = graph._of_users
    owners = np.searchsorted(begins.numpy(), np.arange(len(neighbours)), side="right") - 1
    return list(zip(owners.tolist(), neighbours.tolist(), strict=True)), weights.numpy()


def test_an_epoch_hears_of_a_share_of_the_interactions_weighed_by_what_is_left():
    drawn = Thinned(POSITIVES, ITEMS, 1, 0.5, CPU).draw(rng(1))

    edges, weights = edges_of(drawn)

    whole = [(0, 1), (0, 0), (1, 4), (3, 0), (3, 1), (3, 4)]
    assert len(edges) == 3
    assert set(edges) < set(whole)
    users, items = Counter(user for user, _ in edges), Counter(item for _, item in edges)
    assert weights == pytest.approx([(users[user] * items[item]) ** -0.5 for user, item in edges])


def test_busy_interactions_are_left_out_sooner_as_the_page_says():
    """One edge of all: each is the one in proportion to 1 / √(degree · degree)."""
    thinned = Thinned(POSITIVES, ITEMS, 1, 0.9, CPU)
    drawn = Counter(edges_of(thinned.draw(rng(seed)))[0][0] for seed in range(6000))

    degrees = {(0, 1): 4, (0, 0): 4, (1, 4): 2, (3, 0): 6, (3, 1): 6, (3, 4): 6}
    total = sum(degree**-0.5 for degree in degrees.values())
    for edge, degree in degrees.items():
        assert drawn[edge] / 6000 == pytest.approx(degree**-0.5 / total, abs=0.02)


def test_every_epoch_draws_anew_and_what_is_served_hears_of_everything():
    model = built()
    vectors = []
    for seed in (0, 1, 2):
        model.epoch_begins(rng(seed))
        with torch.no_grad():
            vectors.append(model.propagated()[0].numpy())

    assert len({each.tobytes() for each in vectors}) > 1
    assert all(np.abs(model.vectors()[0] - each).max() > 1e-3 for each in vectors)


# --- training ------------------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_page():
    model = built(CONFIG.model_copy(update={"feature_weight": 0.3}))
    users, positives, negatives = torch.tensor([0, 1, 3]), torch.tensor([1, 4, 0]), torch.tensor([2, 3, 5])

    loss = model(users, positives, negatives).item()

    u, v = (each.detach().numpy() for each in model.propagated())
    expected = np.mean(
        [np.log1p(np.exp(-(u[a] @ (v[b] - v[c])))) for a, b, c in zip(users, positives, negatives, strict=True)]
    )
    for each, map_ in zip(MODALITIES, model.maps, strict=True):
        x = np.nan_to_num(each.values) @ map_.detach().numpy()
        own = [
            np.log1p(np.exp(-(u[a] @ (x[b] - x[c]))))
            for a, b, c in zip(users, positives, negatives, strict=True)
            if each.present[b] and each.present[c]
        ]
        expected += 0.3 * np.mean(own)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_tables_and_maps_learn_from_the_loss():
    model = built()

    model(torch.tensor([0, 1, 3]), torch.tensor([1, 4, 0]), torch.tensor([2, 3, 2])).backward()

    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.fixture(scope="module")
def experiment():
    fields = {"name": "mm", "threads": 1, "seed": 5, "data": GENERATED, "base": {"model": "freedom"}}
    config = RunConfig.model_validate(fields | {"new_users": 0.1})
    return experiment_of(config, load(config.data, None))


def trained(experiment, path, epochs=30, **fields):
    schedule = {"epochs": epochs, "validate_every": epochs}
    config = FreedomConfig(dimensions=8, steps=4, learning_rate=0.02, schedule=schedule, **fields)
    return train_freedom(experiment, config, path, CPU)


def test_it_learns_whom_an_item_is_for(experiment, tmp_path):
    base = trained(experiment, tmp_path / "base")
    indptr, indices = experiment.train
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    others = np.random.default_rng(1).integers(len(base.items), size=len(owners))
    scores = base.users @ base.items.T

    assert (scores[owners, indices] > scores[owners, others]).mean() > 0.7
    assert base.cold.shape == (len(experiment.dataset.cold.ids), 8)


def test_training_knows_nothing_of_cold_items(experiment, tmp_path):
    without = without_cold(experiment)

    one, other = trained(experiment, tmp_path / "with", 4), trained(without, tmp_path / "without", 4)

    assert (one.users == other.users).all()
    assert (one.items == other.items).all()
    assert other.cold is None


def test_a_modality_of_cold_items_alone_tells_nothing(experiment, tmp_path):
    dataset = experiment.dataset
    count = len(dataset.items)
    looks, sound = dataset.modalities
    of_cold = replace(sound, present=sound.present & (np.arange(len(sound.present)) >= count))
    one, other = (
        trained(replace(experiment, dataset=replace(dataset, modalities=some)), tmp_path / str(len(some)), 2)
        for some in ((looks, of_cold), (looks,))
    )

    assert (one.items == other.items).all()
    assert (one.cold == other.cold).all()


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(experiment, tmp_path, broken_off):
    def train(epochs, name):
        schedule = {"epochs": epochs, "validate_every": 2, "checkpoint_s": 0}
        config = FreedomConfig(dimensions=4, steps=3, learning_rate=0.05, schedule=schedule)
        return train_freedom(experiment, config, tmp_path / name, CPU)

    whole = train(4, "whole")
    train(2, "parts")
    broken_off(tmp_path / "parts")
    parts = train(4, "parts")

    assert np.array_equal(whole.users, parts.users)
    assert np.array_equal(whole.items, parts.items)


def test_data_without_features_are_refused():
    data = {name: value for name, value in GENERATED.items() if name not in ("modalities", "cold_items", "featureless")}
    config = RunConfig.model_validate({"name": "mm", "data": data, "base": {"model": "freedom"}})

    with pytest.raises(ConfigError, match=r"base\.model: 'freedom' needs item features"):
        experiment_of(config, load(config.data, None))
