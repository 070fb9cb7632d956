"""LEGO: what is combined, what each of its three steps moves, what its estimate of information says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bundle import Network, build_encoder
from bundle.networks.calibrated import calibrated_parts
from training.base.contract import Base, Contexts, RankingLoss
from training.fair.lego.config import LegoConfig
from training.fair.lego.step import LegoNets, Optimisers, information, training_step
from training.fair.rows import Batch
from training.fair.standardise import standardise

D, CLASSES, NAMES = 6, (2, 3), ("gender", "age")
NOBODY, GENDER, AGE, BOTH = (False, False), (True, False), (False, True), (True, True)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def a_base(users):
    items = np.random.default_rng(3).normal(size=(9, D)).astype(np.float32)
    contexts = Contexts(
        users, np.arange(len(users)), np.arange(len(users) + 1), (np.arange(len(users)) % 9).astype(np.int32)
    )
    return Base("pmf", users, users, items, contexts, history=None)


def nets_of(users, moved=False):
    """Networks as they begin; with ``moved``, corrections and weights that are not zero."""
    network = Network(kind="calibrated", sizes={"calibrator": [D, 16, D]})
    encoder = build_encoder(network, D, NAMES, calibrated_parts(NAMES))
    standardise(encoder, a_base(users))
    nets = LegoNets.create(encoder, D, CLASSES, seed=1)
    if moved:
        with torch.no_grad():
            for parameter in encoder.parameters():
                parameter.normal_(generator=rng(5))
    return nets


@pytest.fixture
def users():
    return np.random.default_rng(0).normal(size=(40, D)).astype(np.float32)


def a_batch(users, protect=BOTH, labels=None):
    u, draws = torch.from_numpy(users), rng(2)
    if labels is None:
        labels = torch.stack([torch.arange(len(u)) % 2, torch.arange(len(u)) % 3], 1).short()
    items = torch.randint(9, (2, len(u), 4), generator=draws)
    return Batch(u, labels, torch.tensor(protect).expand(len(u), -1), items[0], items[1])


def step(nets, users, batch, **changes):
    config = LegoConfig(weight_decay=0, **changes)
    ranking = RankingLoss(a_base(users), torch.device("cpu"))
    training_step(nets, Optimisers.create(nets, config), batch, ranking, config, rng(4))


def weights(module):
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


def fair(encoder, u, mask):
    with torch.no_grad():
        return encoder.combine(encoder.split(u), torch.tensor(mask).expand(len(u), -1))


@pytest.mark.parametrize("mask", [NOBODY, GENDER, BOTH])
def test_vectors_start_as_they_are(users, mask):
    u = torch.from_numpy(users)

    torch.testing.assert_close(fair(nets_of(users).encoder, u, mask), u)


def test_one_attribute_is_withheld_by_its_correction_and_two_by_weighted_ones(users):
    encoder, u = nets_of(users, moved=True).encoder, torch.from_numpy(users)
    with torch.no_grad():
        _, gender, age = encoder.split(u).unbind(1)
        more = encoder.weights

        torch.testing.assert_close(fair(encoder, u, NOBODY), u)
        torch.testing.assert_close(fair(encoder, u, AGE), u + age)
        torch.testing.assert_close(
            fair(encoder, u, BOTH), u + (1 + more[0, 1]) * gender + (1 + more[1, 0]) * age, rtol=1e-4, atol=1e-4
        )


def test_the_weights_learn_from_masks_of_two_alone(users):
    for mask, moves in ((GENDER, False), (BOTH, True)):
        nets = nets_of(users, moved=True)
        before = nets.encoder.weights.detach().clone()

        step(nets, users, a_batch(users, mask))

        changed = nets.encoder.weights.detach() != before
        assert changed.tolist() == [[False, moves], [moves, False]]


def test_the_estimators_move_by_their_own_steps_alone(users):
    few, many = nets_of(users), nets_of(users)

    step(few, users, a_batch(users), estimator_steps=1)
    step(many, users, a_batch(users), estimator_steps=5)

    assert torch.equal(weights(few.encoder), weights(many.encoder))
    assert not torch.equal(weights(few.alone), weights(many.alone))
    assert not torch.equal(weights(few.together), weights(many.together))


def test_users_whose_labels_may_not_be_learned_from_move_no_estimator(users):
    nets = nets_of(users)
    before = weights(nets.alone), weights(nets.together)

    step(nets, users, a_batch(users, labels=torch.full((40, 2), -1, dtype=torch.int16)))

    assert all(map(torch.equal, (weights(nets.alone), weights(nets.together)), before))


def test_information_is_near_0_where_labels_say_nothing_and_large_where_they_are_known():
    label = torch.arange(400)[:, None] % 2
    knows = torch.nn.functional.one_hot(label[:, 0], 2) * 6.0
    guesses = torch.randn(400, 2, generator=rng(1)) * 0.1

    assert abs(float(information([guesses], label, rng()))) < 0.02
    assert float(information([knows], label, rng())) > 2
    assert float(information([knows], torch.full_like(label, -1), rng())) == 0


def test_a_fresh_attacker_finds_less_of_a_planted_attribute_where_it_is_protected():
    draws = np.random.default_rng(1)
    labels = torch.from_numpy(draws.integers(CLASSES, size=(600, 2)).astype(np.int16))
    users = draws.normal(size=(600, D)).astype(np.float32)
    users[:, 0] += 2 * labels[:, 0].numpy()
    nets, config = nets_of(users), LegoConfig(learning_rate=5e-3, information_weight=5)
    opts = Optimisers.create(nets, config)
    ranking, draw = RankingLoss(a_base(users), torch.device("cpu")), rng(4)
    batch = a_batch(users, labels=labels)
    for _ in range(300):
        training_step(nets, opts, batch, ranking, config, draw)

    def found(mask):
        x, gender = fair(nets.encoder, torch.from_numpy(users), mask).numpy(), labels[:, 0]
        attacker = LogisticRegression().fit(x[:400], gender[:400])
        return roc_auc_score(gender[400:], attacker.decision_function(x[400:]))

    assert found(NOBODY) > 0.9
    assert found(GENDER) < 0.8
    assert found(BOTH) < 0.85
