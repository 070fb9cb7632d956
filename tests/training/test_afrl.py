"""The step against docs/algorithms/afrl.md: who learns from what, and in which order."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from bundle import FoldIn
from training.base.contract import Base, Contexts, RankingLoss
from training.fair.afrl.config import AfrlConfig
from training.fair.afrl.networks import FairNets, afrl_network, afrl_parts
from training.fair.afrl.stage import AfrlStage
from training.fair.afrl.step import Optimisers, training_step
from training.fair.heads import AttributeLoss
from training.fair.rows import Batch
from training.negatives import NegativeSampler

D, CLASSES, NAMES, ITEMS = 8, (2, 3), ("gender", "age"), 6
CPU = torch.device("cpu")
INDPTR, INDICES = np.array([0, 3, 4, 4, 6], np.int64), np.array([0, 1, 2, 3, 0, 4], np.int32)


@pytest.fixture
def base():
    """Four users, the third without positives, and six items."""
    rng = np.random.default_rng(3)
    users, items = (rng.normal(size=(count, D)).astype(np.float32) for count in (4, ITEMS))
    contexts = Contexts(users, np.arange(4), INDPTR, INDICES)
    return Base("pmf", users, users, items, contexts, FoldIn(items.T @ items, 1.0, 1.0, 1.0))


@pytest.fixture
def ranking(base):
    return RankingLoss(base, CPU)


@pytest.fixture
def nets():
    return FairNets.create(D, NAMES, CLASSES, seed=1)


@pytest.fixture
def batch():
    rng = torch.Generator().manual_seed(2)
    return Batch(
        users=torch.randn(16, D, generator=rng),
        labels=torch.stack([torch.arange(16) % 2, torch.arange(16) % 3], dim=1).short(),
        protect=torch.randint(2, (16, 2), generator=rng).bool(),
        positives=torch.randint(ITEMS, (16, 1), generator=rng),
        negatives=torch.randint(ITEMS, (16, 1), generator=rng),
    )


def step(nets, batch, ranking, **changes):
    config = AfrlConfig(learning_rate=1e-3, weight_decay=0, **changes)
    loss = AttributeLoss(batch.labels, CLASSES)
    return training_step(nets, Optimisers.create(nets, config), batch, loss, ranking, config)


def weights(module):
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def test_the_split_does_not_learn_from_ranking(nets, batch, ranking):
    other_items = Batch(batch.users, batch.labels, batch.protect, batch.negatives, batch.positives)
    twin = copy.deepcopy(nets)

    step(nets, batch, ranking)
    step(twin, other_items, ranking)

    assert torch.equal(weights(nets.encoder.parts), weights(twin.encoder.parts))
    assert torch.equal(weights(nets.adversaries), weights(twin.adversaries))
    assert not torch.equal(weights(nets.encoder.aggregate), weights(twin.encoder.aggregate))


def test_the_aggregate_sees_the_parts_from_before_the_step(nets, batch, ranking, base):
    before = copy.deepcopy(nets)
    parts = before.encoder.split(batch.users).detach()
    fair = before.encoder.combine(parts, batch.protect)
    items = torch.from_numpy(base.items)
    margin = (fair[:, None] * (items[batch.positives] - items[batch.negatives])).sum(-1)
    loss = nn.functional.softplus(-margin).mean()
    before.encoder.zero_grad()
    loss.backward()
    adam = torch.optim.Adam(before.encoder.aggregate.parameters(), lr=1e-3)
    adam.step()

    step(nets, batch, ranking)

    assert torch.allclose(weights(nets.encoder.aggregate), weights(before.encoder.aggregate), atol=1e-7)


def test_one_optimiser_for_f_and_e_moves_them_as_two_would(nets, batch, ranking):
    """Line 8: the losses of F and of E share no weight, so their sum steps each as its own optimiser would."""
    twin = copy.deepcopy(nets)
    loss = AttributeLoss(batch.labels, CLASSES)
    parts = twin.encoder.split(batch.users)
    hide = nn.functional.mse_loss(parts[:, 0], batch.users) - 0.1 * loss(
        twin.adversaries.on_shared(parts[:, 0]), batch.labels
    )
    hide.backward()
    alone = [weight.grad[0].clone() for weight in twin.encoder.parts.weights]
    untouched = [weight.grad[1:].abs().sum() for weight in twin.encoder.parts.weights]

    step(nets, batch, ranking)

    assert all(float(rest) == 0 for rest in untouched)
    moved = [
        after[0] - before[0]
        for after, before in zip(nets.encoder.parts.weights, twin.encoder.parts.weights, strict=True)
    ]
    agree = [torch.sign(-gradient) == torch.sign(delta) for gradient, delta in zip(alone, moved, strict=True)]
    clear = [gradient.abs() > 1e-6 for gradient in alone]
    assert all(bool(same[sure].all()) for same, sure in zip(agree, clear, strict=True))


def test_a_label_of_minus_one_teaches_nothing(nets, batch, ranking):
    twin = copy.deepcopy(nets)
    unknown = batch.labels.clone()
    unknown[:, 0] = -1
    config = AfrlConfig(learning_rate=1e-3, adversary_weight=1.0)
    loss = AttributeLoss(batch.labels, CLASSES)

    silent = Batch(batch.users, unknown, batch.protect, batch.positives, batch.negatives)
    training_step(twin, Optimisers.create(twin, config), silent, loss, ranking, config)

    assert torch.equal(weights(twin.adversaries.heads[0]), weights(nets.adversaries.heads[0]))
    assert not torch.equal(weights(twin.adversaries.heads[1]), weights(nets.adversaries.heads[1]))


def test_class_weights_are_inverse_counts_that_sum_to_one():
    labels = torch.tensor([[0], [0], [0], [1], [-1]])
    loss = AttributeLoss(labels, [2])
    logits = [torch.tensor([[2.0, 0.0], [0.0, 1.0]])]

    value = loss(logits, torch.tensor([[0], [1]]))

    first = torch.log(1 + torch.exp(torch.tensor(-2.0)))
    second = torch.log(1 + torch.exp(torch.tensor(-1.0)))
    assert torch.isclose(value, 0.25 * first + 0.75 * second)


@pytest.fixture
def a_stage(nets, base, ranking):
    """The builder of stages on that base, with what they draw."""

    def build(mode, contexts=base.contexts, **changes):
        labels = np.array([[0, 1], [1, 2], [0, 0], [-1, -1]], np.int16)
        sampler = NegativeSampler(INDPTR, INDICES, ITEMS, CPU)
        config = AfrlConfig(learning_rate=1e-3, **changes)
        return AfrlStage(nets, config, mode, contexts, labels, CLASSES, ranking, sampler, lambda _: 0.0, CPU)

    return build


def batches(monkeypatch, stage, seed=0):
    """What the steps of one epoch learn from."""
    seen = []
    monkeypatch.setattr("training.fair.afrl.stage.training_step", lambda *given: seen.append(given[2]) or {})
    stage.epoch(torch.Generator().manual_seed(seed))
    return seen


def owners(batch, base):
    """User row of every (u, …) of a batch."""
    return [int(np.flatnonzero((base.users == u).all(1))[0]) for u in batch.users.numpy()]


def test_reproduce_visits_every_interaction_once_with_one_mask_a_batch(a_stage, base, monkeypatch):
    seen = batches(monkeypatch, a_stage("reproduce", batch=4))

    pairs = sorted(
        pair for batch in seen for pair in zip(owners(batch, base), batch.positives[:, 0].tolist(), strict=True)
    )
    assert pairs == [(0, 0), (0, 1), (0, 2), (1, 3), (3, 0), (3, 4)]
    assert all(bool((batch.protect == batch.protect[0]).all()) for batch in seen)


def test_reproduce_with_many_pairs_draws_users_as_often_as_they_have_positives(a_stage, base, monkeypatch):
    stage, drawn = a_stage("reproduce", batch=4, pairs=3), []
    for seed in range(300):
        (batch,) = batches(monkeypatch, stage, seed)
        assert batch.positives.shape == (2, 3)
        drawn += owners(batch, base)

    shares = np.bincount(drawn, minlength=4) / len(drawn)
    assert np.allclose(shares, np.array([3, 1, 0, 2]) / 6, atol=0.06)


def test_strict_visits_every_user_with_a_positive_once_with_positives_of_their_own(a_stage, base, monkeypatch):
    (batch,) = batches(monkeypatch, a_stage("strict", batch=4, pairs=5))

    own = {0: {0, 1, 2}, 1: {3}, 3: {0, 4}}
    users = owners(batch, base)
    assert sorted(users) == [0, 1, 3]
    assert batch.positives.shape == (3, 5)
    assert all(set(row.tolist()) <= own[user] for user, row in zip(users, batch.positives, strict=True))
    assert batch.protect.shape == (3, 2)


def test_rates_rise_then_fall_over_the_schedule():
    config = AfrlConfig(warmup=0.1, decay="cosine")

    assert [round(config.rate(done), 3) for done in (0.05, 0.1, 0.5, 1.0)] == [0.5, 0.976, 0.5, 0.0]


def test_the_exported_average_lags_behind_the_weights_that_learn(a_stage, nets):
    stage = a_stage("reproduce", batch=2, average=0.9)

    stage.epoch(torch.Generator().manual_seed(0))

    assert stage.encoder is not nets.encoder
    assert not torch.equal(weights(stage.encoder), weights(nets.encoder))
    restored = a_stage("reproduce", batch=2, average=0.9)
    restored.restore(stage.state())
    assert torch.equal(weights(restored.encoder), weights(stage.encoder))


def test_bfloat16_products_leave_float32_weights(a_stage, nets):
    stage = a_stage("reproduce", batch=2, precision="bfloat16")

    stage.epoch(torch.Generator().manual_seed(0))

    assert {weight.dtype for weight in nets.encoder.parameters()} == {torch.float32}
    assert bool(torch.isfinite(weights(nets.encoder)).all())


@pytest.mark.parametrize(
    ("without", "parts", "terms"),
    [
        ("shared", ["gender", "age"], {"keep", "align", "rank"}),
        ("attributes", ["shared"], {"leak", "rebuild", "hide", "rank"}),
    ],
)
def test_an_ablation_has_only_the_other_parts_and_learns_only_their_loss(batch, ranking, without, parts, terms):
    nets = FairNets.create(D, NAMES, CLASSES, seed=1, without=without)

    learned = step(nets, batch, ranking, without=without)

    assert set(learned) == terms
    assert [part.name for part in afrl_parts(NAMES, without)] == parts
    assert nets.encoder.split(batch.users).shape == (16, len(parts), D)
    assert afrl_network(D, len(parts)).sizes["combine"][0] == len(parts) * D


def test_without_the_shared_part_protecting_everything_leaves_the_same_vector_for_all(batch, ranking):
    nets = FairNets.create(D, NAMES, CLASSES, seed=1, without="shared")
    step(nets, batch, ranking, without="shared")

    fair = nets.encoder.combine(nets.encoder.split(batch.users), torch.ones(16, 2, dtype=torch.bool))

    assert torch.equal(fair, fair[:1].expand_as(fair))


def test_without_attribute_parts_the_mask_changes_nothing(batch, ranking):
    nets = FairNets.create(D, NAMES, CLASSES, seed=1, without="attributes")
    step(nets, batch, ranking, without="attributes")

    parts = nets.encoder.split(batch.users)
    hidden = nets.encoder.combine(parts, torch.ones(16, 2, dtype=torch.bool))

    assert torch.equal(hidden, nets.encoder.combine(parts, torch.zeros(16, 2, dtype=torch.bool)))


def test_negatives_are_never_items_the_user_touched(cpu):
    sampler = NegativeSampler(np.array([0, 3, 5]), np.array([0, 1, 2, 3, 4], np.int32), 6, cpu)
    users = torch.tensor([0, 1]).repeat(500)

    items = sampler.draw(users, torch.Generator().manual_seed(0))

    assert set(items[users == 0].tolist()) == {3, 4, 5}
    assert set(items[users == 1].tolist()) == {0, 1, 2, 5}
