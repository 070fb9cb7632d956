"""The step against docs/algorithms/afrl.md: who learns from what, and in which order."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from training.fair.afrl.step import AfrlConfig, Batch, FairNets, Optimisers, training_step
from training.fair.heads import AttributeLoss
from training.fair.afrl.stage import AfrlStage, interaction_rows, user_rows
from training.negatives import NegativeSampler

D, CLASSES, NAMES = 8, (2, 3), ("gender", "age")


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
        positives=torch.randn(16, 1, D, generator=rng),
        negatives=torch.randn(16, 1, D, generator=rng),
    )


def step(nets, batch, **changes):
    config = AfrlConfig(learning_rate=1e-3, weight_decay=0, **changes)
    training_step(nets, Optimisers.create(nets, config), batch, AttributeLoss(batch.labels, CLASSES), config)


def weights(module):
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def test_the_split_does_not_learn_from_ranking(nets, batch):
    other_items = Batch(batch.users, batch.labels, batch.protect, -batch.positives, batch.negatives * 3)
    twin = copy.deepcopy(nets)

    step(nets, batch)
    step(twin, other_items)

    assert torch.equal(weights(nets.encoder.parts), weights(twin.encoder.parts))
    assert torch.equal(weights(nets.adversaries), weights(twin.adversaries))
    assert not torch.equal(weights(nets.encoder.aggregate), weights(twin.encoder.aggregate))


def test_the_aggregate_sees_the_parts_from_before_the_step(nets, batch):
    before = copy.deepcopy(nets)
    parts = before.encoder.split(batch.users).detach()
    fair = before.encoder.combine(parts, batch.protect)
    u = fair[:, None]
    loss = nn.functional.softplus(-((u * batch.positives).sum(-1) - (u * batch.negatives).sum(-1))).mean()
    before.encoder.zero_grad()
    loss.backward()
    adam = torch.optim.Adam(before.encoder.aggregate.parameters(), lr=1e-3)
    adam.step()

    step(nets, batch)

    assert torch.allclose(weights(nets.encoder.aggregate), weights(before.encoder.aggregate), atol=1e-7)


def test_one_optimiser_for_f_and_e_moves_them_as_two_would(nets, batch):
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

    step(nets, batch)

    assert all(float(rest) == 0 for rest in untouched)
    moved = [
        after[0] - before[0]
        for after, before in zip(nets.encoder.parts.weights, twin.encoder.parts.weights, strict=True)
    ]
    agree = [torch.sign(-gradient) == torch.sign(delta) for gradient, delta in zip(alone, moved, strict=True)]
    clear = [gradient.abs() > 1e-6 for gradient in alone]
    assert all(bool(same[sure].all()) for same, sure in zip(agree, clear, strict=True))


def test_a_label_of_minus_one_teaches_nothing(nets, batch):
    twin = copy.deepcopy(nets)
    unknown = batch.labels.clone()
    unknown[:, 0] = -1
    config = AfrlConfig(learning_rate=1e-3, adversary_weight=1.0)
    loss = AttributeLoss(batch.labels, CLASSES)

    silent = Batch(batch.users, unknown, batch.protect, batch.positives, batch.negatives)
    training_step(twin, Optimisers.create(twin, config), silent, loss, config)

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
def stage(nets, cpu):
    import numpy as np

    indptr = np.array([0, 3, 4, 4, 6], np.int64)
    indices = np.array([0, 1, 2, 3, 0, 4], np.int32)
    data = FairData(
        users=np.ones((4, D), np.float32),
        items=np.arange(6 * D, dtype=np.float32).reshape(6, D),
        labels=np.array([[0, 1], [1, 2], [0, 0], [-1, -1]], np.int16),
        classes=CLASSES,
        indptr=indptr,
        indices=indices,
    )
    sampler = NegativeSampler(indptr, indices, 6, cpu)
    return AfrlStage(nets, AfrlConfig(batch=4, pairs=5), data, sampler, user_rows, lambda _: 0.0, cpu)


def test_reproduce_visits_every_interaction_once_with_one_mask_a_batch(stage):
    rows = list(interaction_rows(stage, torch.Generator().manual_seed(0)))

    pairs = sorted((int(u), int(i)) for users, items, _ in rows for u, i in zip(users, items[:, 0], strict=True))
    assert pairs == [(0, 0), (0, 1), (0, 2), (1, 3), (3, 0), (3, 4)]
    assert all(bool((masks == masks[0]).all()) for _, _, masks in rows)


def test_strict_visits_every_user_with_a_positive_once_with_positives_of_their_own(stage):
    ((users, items, masks),) = user_rows(stage, torch.Generator().manual_seed(0))

    own = {0: {0, 1, 2}, 1: {3}, 3: {0, 4}}
    assert sorted(users.tolist()) == [0, 1, 3]
    assert items.shape == (3, 5)
    assert all(set(row.tolist()) <= own[int(user)] for user, row in zip(users, items, strict=True))
    assert masks.shape == (3, 2)


def test_strict_draws_a_mask_for_each_row_uniformly(stage):
    stage.indptr = torch.arange(2001)
    stage.indices = torch.zeros(2000, dtype=torch.int64)

    masks = torch.cat([masks for _, _, masks in user_rows(stage, torch.Generator().manual_seed(0))])

    codes = torch.bincount(masks[:, 0] * 2 + masks[:, 1].long(), minlength=4)
    assert (codes - 500).abs().max() < 80


def test_negatives_are_never_items_the_user_touched(cpu):
    import numpy as np

    sampler = NegativeSampler(np.array([0, 3, 5]), np.array([0, 1, 2, 3, 4], np.int32), 6, cpu)
    users = torch.tensor([0, 1]).repeat(500)

    items = sampler.draw(users, torch.Generator().manual_seed(0))

    assert set(items[users == 0].tolist()) == {3, 4, 5}
    assert set(items[users == 1].tolist()) == {0, 1, 2, 5}
