"""DeepModel: what it learns, what its scores are used for, and that a broken run goes on to the same end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from measure.accuracy import full_ranks, ndcg_at, sampled_ranks
from measure.masks import masks_to_measure
from measure.profiles import Profile
from measure.scoring import Scorer
from training.base.contract import Base, RankingLoss
from training.base.deep import Deep, DeepConfig
from training.base.tables import TableStage
from training.base.train import train_base
from training.card import make_card
from training.config import RunConfig
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.export import export
from training.fair.select import selection
from training.fair.train import train_fair
from training.summary import summary

CONFIG = DeepConfig(dimensions=8, learning_rate=1e-2, batch=512, candidates=20, schedule={"epochs": 6})
LOOK = Profile("look", ("logistic",), 2, 1, 1, 20, 50, fit_rows=300, verdict=False)


@pytest.fixture(scope="module")
def experiment(small_data):
    return Experiment(small_data, hold_out(small_data), split_users(small_data.users, "s"), "strict", 5, 0.05, "s")


@pytest.fixture(scope="module")
def base(experiment, tmp_path_factory) -> Base:
    return train_base(experiment, CONFIG, tmp_path_factory.mktemp("base") / "base.safetensors", torch.device("cpu"))


def weights(base):
    return [base.users, base.items, *(value.numpy() for value in base.reranker.state_dict().values())]


def test_layers_halve_and_a_score_is_one_number():
    model = Deep(3, 5, DeepConfig(), seed=1)

    assert [layer.in_features for layer in model.reranker.layers] == [128, 64, 32, 16]
    assert model.reranker.layers[-1].out_features == 1
    for layer in model.reranker.layers:
        bound = (3 / layer.in_features) ** 0.5
        assert 0.9 * bound < float(layer.weight.detach().abs().max()) <= bound
        assert not layer.bias.detach().any()


def test_both_scores_learn_to_rank(experiment, base):
    u = base.selection

    def ndcg(scorer):
        ranks = sampled_ranks(u, scorer, experiment.validation, experiment.validation_negatives)
        return float(ndcg_at(10, ranks[ranks >= 0]).mean())

    untrained = Deep(len(base.users), len(base.items), CONFIG, seed=8)
    chance = ndcg(Scorer(untrained.items.detach().numpy()))
    assert ndcg(base.scorer) > chance + 0.05
    assert ndcg(Scorer(base.items)) > chance + 0.05


def test_the_base_is_ranked_by_the_perceptron_and_not_by_what_proposes_for_it(experiment, base):
    rows = np.flatnonzero(experiment.validation >= 0)
    negatives = experiment.validation_negatives
    ranks = sampled_ranks(base.selection, base.scorer, experiment.validation, negatives)

    for row in rows[:20]:
        items = np.append(experiment.validation[row], negatives[row][negatives[row] >= 0])
        with torch.no_grad():
            u = torch.from_numpy(base.selection[row : row + 1])
            scores = base.reranker(u, torch.from_numpy(items[None]).long())[0].numpy()
        assert ranks[row] == (scores[1:] > scores[0]).sum()


def test_the_same_seed_gives_the_same_base_again(experiment, base, tmp_path, cpu):
    again = train_base(experiment, CONFIG, tmp_path / "again.safetensors", cpu)

    assert all(np.array_equal(one, other) for one, other in zip(weights(base), weights(again), strict=True))


def test_a_restored_stage_goes_on_as_the_one_that_was_saved(experiment, cpu):
    users, items = len(experiment.dataset.users), len(experiment.dataset.items)

    def a_stage(seed):
        model = Deep(users, items, CONFIG, seed)
        return TableStage(model, CONFIG, experiment, lambda: 0.0)

    def epoch(stage, seed):
        assert stage.epoch(torch.Generator().manual_seed(seed)) == len(experiment.train[1])
        return {name: value.clone() for name, value in stage.state().items()}

    first = a_stage(seed=1)
    saved = epoch(first, 1)
    resumed = a_stage(seed=2)
    resumed.restore(saved)

    unbroken, broken = epoch(first, 2), epoch(resumed, 2)
    assert unbroken.keys() == broken.keys()
    assert all(value.equal(broken[name]) for name, value in unbroken.items())
    assert not unbroken["model/users"].equal(saved["model/users"])


def test_new_users_are_folded_in_as_serving_would(experiment, base):
    row = np.flatnonzero(experiment.folded_in)[0]
    history = experiment.held_out.history(row)

    assert np.array_equal(base.users[row], base.history.user_vectors([history], base.items)[0])


def test_a_fair_vector_must_do_well_in_both_scores_and_the_base_stays_as_it_is(base, cpu):
    u = torch.from_numpy(base.users[:4]).requires_grad_()
    positive, negative = torch.tensor([[1], [2], [3], [4]]), torch.tensor([[5], [6], [7], [8]])
    before = [value.copy() for value in weights(base)]

    loss = RankingLoss(base, cpu)(u, positive, negative)
    loss.backward()

    items = torch.from_numpy(base.items)
    inner = (u[:, None] * (items[positive] - items[negative])).sum(-1)
    own = base.reranker(u, positive) - base.reranker(u, negative)
    expected = nn.functional.softplus(-inner).mean() + nn.functional.softplus(-own).mean()
    assert loss.item() == pytest.approx(expected.item())
    assert bool(u.grad.abs().sum() > 0)
    assert all(parameter.grad is None for parameter in base.reranker.parameters())
    assert all(np.array_equal(one, other) for one, other in zip(before, weights(base), strict=True))


# --- the card ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(experiment, base, tmp_path_factory):
    fair = {"method": "afrl", "batch": 64, "schedule": {"epochs": 1}}
    data = {"reader": "generated", "users": 200, "items": 80, "interactions_per_user": 20}
    config = RunConfig.model_validate({"name": "deep", "data": data, "base": CONFIG, "fair": fair})
    trained = train_fair(experiment, base, config.fair, tmp_path_factory.mktemp("fair"), torch.device("cpu"))
    return export(config, experiment, trained)


def test_an_epoch_is_chosen_by_the_perceptron(experiment, base, bundle):
    other = replace(base, reranker=Deep(len(base.users), len(base.items), CONFIG, seed=9).reranker)

    scores = [selection(experiment, each, 0.0)(bundle.encoder) for each in (base, other, replace(base, reranker=None))]

    assert len(set(scores)) == 3


def test_the_card_says_what_the_candidate_step_loses(experiment, base, bundle):
    card = make_card(bundle, LOOK)
    accuracy = card["accuracy"]
    lowest = min(row["candidates"]["recall@10"] for row in accuracy["by_mask"])

    assert f"20 candidates hold {100 * lowest:.1f} % of the model's own top 10" in summary(card)
    assert accuracy["protocol"]["candidates"] == 20
    assert len(accuracy["by_mask"]) == len(masks_to_measure(experiment.attributes))
    rows = experiment.user_split == 2
    rows &= ~experiment.folded_in
    positive = np.where(rows, experiment.held_out.test, -1)
    seen = bundle.seen.indptr, bundle.seen.indices
    for candidates, field in ((20, None), (80, "full_without")):
        scorer = replace(base.scorer, candidates=candidates)
        ranks = full_ranks(base.users, scorer, positive, *seen)
        expected = float(ndcg_at(10, ranks[ranks >= 0]).mean())
        for row in accuracy["by_mask"]:
            found = row["candidates"]["base"][field] if field else row["base"]["full"]
            assert found["ndcg@10"] == pytest.approx(expected)
            assert 0 < row["candidates"]["recall@10"] <= 1


def test_nothing_is_lost_where_every_item_is_a_candidate(bundle):
    items = len(bundle.items.ids)
    spec = bundle.reranker.spec.model_copy(update={"candidates": items})
    wide = Deep(1, items, CONFIG, seed=1).reranker
    wide.load_state_dict(bundle.reranker.state_dict())
    wide.spec = spec

    for row in make_card(replace(bundle, reranker=wide), LOOK)["accuracy"]["by_mask"]:
        assert row["candidates"]["recall@10"] == 1
        assert row["candidates"]["full_without"]["ndcg@10"] == row["full"]["ndcg@10"]


def test_a_card_of_inner_products_has_no_candidates(bundle):
    card = make_card(replace(bundle, reranker=None), LOOK)

    assert "candidates" not in summary(card)
    assert "candidates" not in card["accuracy"]["protocol"]
    assert not any("candidates" in row for row in card["accuracy"]["by_mask"])
