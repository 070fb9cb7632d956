"""LATTICE (`mm_lattice`) against its page: dense matrices give the same graphs, vectors and cold items."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.features import COLD, GENERATED, ITEMS, POSITIVES, USERS, modality, without_cold
from training.base.item_graph import ItemGraph, Neighbours
from training.base.lightgcn import Graph
from training.base.mm_lattice import MmLattice, MmLatticeConfig, train_mm_lattice
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError

CPU = torch.device("cpu")
CONFIG = MmLatticeConfig(dimensions=3, neighbours=2, feature_dimensions=4, kept=0.7)


MODALITIES = modality("plot", 5), modality("sound", 3, lacking=(1, 6))


def built(config=CONFIG):
    near = tuple(Neighbours(each, ITEMS, config.neighbours, CPU) for each in MODALITIES)
    of_items = ItemGraph(near, config.kept, config.feature_dimensions, torch.Generator().manual_seed(2))
    model = MmLattice(Graph(POSITIVES, ITEMS, 2, CPU), of_items, USERS, ITEMS, config, seed=4)
    with torch.no_grad():
        of_items.shares.copy_(torch.tensor([0.5, -0.3]))
    return model


def normalised(x, present, known, k):
    """(I + C, I) by the page: k nearest by cosine, none below 0, over the roots of both sums."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = np.where(present[:, None] & present[None, :known], np.nan_to_num(x @ x[:known].T), -np.inf)
    kept = np.zeros_like(cosines)
    for row in np.flatnonzero(present):
        nearest = np.argsort(-cosines[row], kind="stable")[:k]
        kept[row, nearest] = np.maximum(cosines[row, nearest], 0)
    totals = kept.sum(1)
    scale = np.where(totals > 0, 1 / np.sqrt(np.where(totals > 0, totals, 1)), 0)
    return scale[:, None] * kept * scale[:known]


def dense_graph(model, config=CONFIG):
    """(I + C, I) by the page."""
    shares = model.of_items.shares.softmax(0).detach().numpy()
    total = 0
    for each, share, map_ in zip(MODALITIES, shares, model.of_items.maps, strict=True):
        known = each.present[:ITEMS]
        x = each.values - each.values[:ITEMS][known].mean(0)
        own = normalised(x @ map_.detach().numpy(), each.present, ITEMS, config.neighbours)
        as_it_is = normalised(x, each.present, ITEMS, config.neighbours)
        total = total + share * (config.kept * as_it_is + (1 - config.kept) * own)
    return total


def lightgcn_vectors(model):
    users, items = (each.numpy() for each in model._graph.propagated(model.users.detach(), model.items.detach()))
    return users, items


@pytest.mark.parametrize("steps", [1, 2])
def test_item_vectors_are_those_of_lightgcn_and_the_direction_of_what_is_alike(steps):
    config = CONFIG.model_copy(update={"item_layers": steps})
    model = built(config)
    graph = dense_graph(model)[:ITEMS]
    users, items = lightgcn_vectors(model)
    alike = np.linalg.matrix_power(graph, steps) @ model.items.detach().numpy()

    found_users, found_items = model.vectors()

    np.testing.assert_allclose(found_users, users, rtol=1e-5)
    np.testing.assert_allclose(
        found_items, items + alike / np.linalg.norm(alike, axis=1, keepdims=True), rtol=1e-4, atol=1e-5
    )


def test_a_cold_item_has_its_neighbours_mean_and_the_direction_of_their_own_vectors():
    model = built()
    near = dense_graph(model)[ITEMS:]
    _, items = lightgcn_vectors(model)
    alike = near @ model.items.detach().numpy()
    expected = near / near.sum(1, keepdims=True) @ items + alike / np.linalg.norm(alike, axis=1, keepdims=True)

    found = model.cold_vectors()

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found.shape == (COLD, 3)


def test_an_item_that_lacks_every_modality_has_its_lightgcn_vector():
    near = (Neighbours(modality("sound", 3, lacking=(1, 6)), ITEMS, 2, CPU),)
    of_items = ItemGraph(near, 0.7, 4, torch.Generator().manual_seed(2))
    model = MmLattice(Graph(POSITIVES, ITEMS, 2, CPU), of_items, USERS, ITEMS, CONFIG, seed=4)

    _, items = model.vectors()

    np.testing.assert_allclose(items[1], lightgcn_vectors(model)[1][1], rtol=1e-6)


def test_each_modality_has_a_graph_of_its_own_features():
    """The public code of FMMRec builds the graph of sound from text."""
    one, other = (Neighbours(each, ITEMS, 2, CPU) for each in (modality("plot", 3), modality("sound", 3)))

    assert not torch.equal(one.nearest(one.features), other.nearest(other.features))


def test_tables_maps_and_shares_learn_from_the_loss():
    model = built()

    model(torch.tensor([0, 1, 3]), torch.tensor([1, 4, 0]), torch.tensor([2, 3, 2])).backward()

    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.fixture(scope="module")
def experiment():
    fields = {"name": "mm", "threads": 1, "seed": 5, "data": GENERATED, "base": {"model": "mm_lattice"}}
    config = RunConfig.model_validate(fields | {"new_users": 0.1})
    return experiment_of(config, load(config.data, None))


def trained(experiment, path, epochs=30, **fields):
    config = MmLatticeConfig(
        dimensions=8, steps=4, learning_rate=0.02, schedule={"epochs": epochs, "validate_every": epochs}, **fields
    )
    return train_mm_lattice(experiment, config, path, CPU)


def test_it_learns_and_cold_items_are_near_those_that_are_alike(experiment, tmp_path):
    """Users like a cold item's like, by features that were never trained on."""
    base = trained(experiment, tmp_path / "base")
    indptr, indices = experiment.train
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    others = np.random.default_rng(1).integers(len(base.items), size=len(owners))
    scores = base.users @ base.items.T

    assert (scores[owners, indices] > scores[owners, others]).mean() > 0.7
    looks = experiment.dataset.modalities[0]
    count = len(base.items)
    rows = np.flatnonzero(looks.present[count:])
    x = looks.values / np.linalg.norm(looks.values, axis=1, keepdims=True)
    twin = np.argmax(np.nan_to_num(x[count + rows] @ x[:count].T, nan=-1), axis=1)
    told = np.corrcoef(base.users @ base.cold[rows].T, scores[:, twin], rowvar=False)
    of_twins = np.diag(told[: len(rows), len(rows) :])
    assert of_twins.mean() > 0.4
    assert base.cold.shape == (len(experiment.dataset.cold.ids), 8)


def test_training_knows_nothing_of_cold_items(experiment, tmp_path):
    without = without_cold(experiment)

    one, other = trained(experiment, tmp_path / "with", 4), trained(without, tmp_path / "without", 4)

    # A product with fewer rows may add up in another order, which depends on the processor.
    np.testing.assert_allclose(one.users, other.users, rtol=0, atol=1e-5)
    np.testing.assert_allclose(one.items, other.items, rtol=0, atol=1e-5)
    assert other.cold is None


def test_a_run_that_was_broken_off_ends_as_one_that_was_not(experiment, tmp_path, broken_off):
    def train(epochs, name):
        schedule = {"epochs": epochs, "validate_every": 2, "checkpoint_s": 0}
        config = MmLatticeConfig(dimensions=4, steps=3, learning_rate=0.05, schedule=schedule)
        return train_mm_lattice(experiment, config, tmp_path / name, CPU)

    whole = train(4, "whole")
    train(2, "parts")
    broken_off(tmp_path / "parts")
    again = train(4, "parts")

    assert (again.users == whole.users).all()
    assert (again.items == whole.items).all()


def test_without_features_it_is_refused():
    data = {name: value for name, value in GENERATED.items() if name not in ("modalities", "cold_items", "featureless")}
    config = RunConfig.model_validate({"name": "mm", "data": data, "base": {"model": "mm_lattice"}})

    with pytest.raises(ConfigError, match=r"base.model: 'mm_lattice' needs item features; allowed: with data.modalit"):
        experiment_of(config, load(config.data, None))
