"""VBPR against its page: the score of V1 is the inner product of V2, and cold items are V3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.func import functional_call

from training.base.vbpr import Vbpr, VbprConfig
from training.config import RunConfig
from training.data.load import load
from training.demands import experiment_of
from training.errors import ConfigError
from training.run import run

CONFIG = VbprConfig(dimensions=6, feature_dimensions=2)


@pytest.fixture
def model():
    rng = torch.Generator().manual_seed(1)
    found = Vbpr(5, torch.randn(7, 3, generator=rng), torch.randn(2, 3, generator=rng), CONFIG, seed=4)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_(0, 1, generator=rng)
    return found


def scores_of_page(model):
    """(U, I) by V1, term by term."""
    g_u, t_u, g_i, b = model.users[:, :4], model.users[:, 4:], model.items[:, :4], model.items[:, 4]
    x = model.features
    return (b + (x @ model.bias)[:, 0] + g_u @ g_i.T + t_u @ (x @ model.map).T).detach().numpy()


def test_exported_vectors_give_the_scores_of_the_page(model):
    users, items = model.vectors()

    np.testing.assert_allclose(users @ items.T, scores_of_page(model), rtol=1e-5, atol=1e-5)
    assert (users[:, -1] == 1).all()


def test_the_loss_is_bpr_of_these_scores_also_where_small_tables_stand_for_the_whole_ones(model):
    users, liked, other = torch.tensor([0, 3, 4]), torch.tensor([1, 2, 5]), torch.tensor([6, 1, 0])
    scores = torch.from_numpy(scores_of_page(model))
    expected = torch.nn.functional.softplus(scores[users, other] - scores[users, liked]).mean()
    rows, (own, away) = torch.unique(torch.stack([liked, other]), return_inverse=True)
    small = {"items": model.items[rows], "features": model.features[rows]}

    whole = model(users, liked, other, torch.Generator())
    taken = functional_call(model, small, (users, own, away, torch.Generator()))

    assert torch.allclose(whole, expected, atol=1e-5)
    assert torch.allclose(taken, expected, atol=1e-5)


def test_a_cold_item_has_the_means_of_what_is_learned_of_each_and_features_of_its_own(model):
    users, items = model.vectors()

    cold = model.cold_vectors()

    learned = model.items.detach().numpy()
    mapped = model._cold.numpy() @ model.map.detach().numpy()
    np.testing.assert_allclose(cold[:, :4], np.tile(learned[:, :4].mean(0), (2, 1)), rtol=1e-5)
    np.testing.assert_allclose(cold[:, 4:6], mapped, rtol=1e-5)
    assert cold.shape == (2, items.shape[1]) == (2, users.shape[1])


def test_without_features_it_is_refused():
    data = {"reader": "generated", "users": 60, "items": 40, "interactions_per_user": 10}
    config = RunConfig.model_validate({"name": "vbpr", "data": data, "base": {"model": "vbpr"}})

    with pytest.raises(ConfigError, match=r"base.model: 'vbpr' needs item features; allowed: with data.modalities"):
        experiment_of(config, load(config.data, None))


def test_a_method_that_would_move_the_item_biases_is_refused_before_training(tmp_path, cpu):
    data = {"reader": "generated", "users": 60, "items": 40, "interactions_per_user": 10, "modalities": {"looks": {}}}
    base = {"model": "vbpr", "dimensions": 8, "feature_dimensions": 4}
    config = RunConfig.model_validate({"name": "vbpr", "data": data, "base": base, "fair": {"method": "sm"}})

    with pytest.raises(ConfigError, match=r"fair.method: 'sm' leaves no dimension alone"):
        run(config, None, tmp_path, cpu)
