"""Of the mean given the scores comes back what the rest hides, and no more than is allowed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle.networks.lattice_layers import Independent, MeanGivenScores
from training.fair.lattice.closed_form import fit_independent
from training.fair.lattice.config import LatticeConfig
from training.fair.lattice.given_back import class_differences, give_back, least_squares

USERS, D = 4_000, 6
OWNER = np.array([0, 1])
"""Two attributes, one coordinate each."""


@pytest.fixture(scope="module")
def fitted():
    """Users shifted by two scores along the widest and the narrowest axis; each attribute by the logit of one."""
    rng = np.random.default_rng(2)
    sigma = rng.normal(size=(USERS, 2))
    x = rng.normal(size=(USERS, D)) * np.array([6, 1, 1, 1, 1, 0.5])
    x[:, [0, 5]] += 0.7 * sigma
    x[:, [5, 0]] += 0.7 * sigma
    labels = (rng.random((USERS, 2)) < 1 / (1 + np.exp(-3 * sigma))).astype(np.int16)
    shared = Independent(2, [0, 1], D, 4, 1)
    left = fit_independent(shared, x, sigma, LatticeConfig(bins=4, sweeps=1))
    return shared, x, sigma, left, labels


def given_back(fitted, most):
    """What the shared part holds besides, (U, d)."""
    shared, x, sigma, left, labels = fitted
    again = shared.mean_again.weight.clone()
    give_back(shared, sigma, left, labels, OWNER, most)
    with torch.no_grad():
        found = shared(torch.from_numpy(x).float(), torch.from_numpy(sigma).float()).numpy() - left
    shared.mean_again.weight.copy_(again)
    return found


def distance(shift, left, labels):
    """Squared distance of the two classes' means, in standard deviations of what is left."""
    delta = shift[labels == 1].mean(0) - shift[labels == 0].mean(0)
    return float(delta @ np.linalg.inv(np.cov(left.T)) @ delta)


@pytest.mark.parametrize("most", [0.003, 0.03, 0.3])
def test_classes_differ_by_no_more_than_is_allowed_and_nearly_all_of_that(fitted, most):
    left, labels = fitted[3:]

    shift = given_back(fitted, most)

    for each in labels.T:
        assert 0.7 * most < distance(shift, left, each) < 1.05 * most


def test_nothing_comes_back_where_nothing_is_allowed(fitted):
    assert np.abs(given_back(fitted, 1e-12)).max() < 0.01


def test_all_comes_back_where_all_is_allowed(fitted):
    shared, x, sigma, left, _ = fitted

    shift = given_back(fitted, 1e6)

    moved = x @ np.linalg.lstsq(x, left, rcond=None)[0]  # transports hardly move anything here
    kept = shared.mean.terms(torch.from_numpy(sigma)).numpy() @ shared.mean.weight.double().numpy()
    assert np.abs(left - moved).max() < 10
    assert np.allclose(shift, kept - kept.mean(0), atol=1e-2)


def test_what_comes_back_lies_where_users_differ_most_for_other_reasons(fitted):
    shift = given_back(fitted, 0.01).std(axis=0)

    assert shift[0] > 10 * shift[5] > 0


def test_a_product_with_a_score_that_is_known_counts_like_the_score_itself():
    rng = np.random.default_rng(1)
    sigma = rng.normal(size=(USERS, 2))
    labels = (sigma[:, 0] > 0).astype(np.int16)

    differ = class_differences(MeanGivenScores(2, 1), sigma, labels, np.array([True, False]))

    own, others, _, product, of_others = np.diag(differ)  # terms: own, other, own², own x other, other²
    assert own == pytest.approx(product, rel=0.3)
    assert own > 100 * others
    assert own > 100 * of_others


def test_terms_that_say_nothing_come_back_whole():
    taken = np.ones((2, 3))

    back = least_squares(taken, np.eye(2), np.ones(3), [np.diag([1.0, 0.0])], 0.003)

    assert np.allclose(back[1], 1, rtol=0.01)
    assert np.sum(back[0] ** 2) == pytest.approx(0.003, rel=0.05)


def test_one_attribute_alone(fitted):
    x, sigma, labels = (fitted[place] for place in (1, 2, 4))
    alone = Independent(1, [0], D, 4, 1)
    left = fit_independent(alone, x, sigma[:, :1], LatticeConfig(bins=4, sweeps=1))
    before = alone.mean_again.weight.clone()

    give_back(alone, sigma[:, :1], left, labels[:, :1], OWNER[:1], 0.01)

    assert not torch.equal(before, alone.mean_again.weight)


def test_where_classes_cannot_be_told_apart_every_score_counts_as_one(fitted):
    shared, _, sigma, left, labels = fitted
    few = np.where(np.arange(USERS)[:, None] < 40, labels, np.int16(-1))
    again = shared.mean_again.weight.clone()

    give_back(shared, sigma, left, few, OWNER, 0.01)

    back = (again - shared.mean_again.weight).numpy()[1:]
    shared.mean_again.weight.copy_(again)
    shift = shared.mean.terms(torch.from_numpy(sigma)).numpy()[:, 1:] @ back
    assert 0 < np.trace(np.cov(shift.T) @ np.linalg.inv(np.cov(left.T))) < 0.0105


def test_users_who_are_all_alike_get_nothing_that_is_no_number():
    shared, same = Independent(2, [0, 1], D, 4, 1), np.ones((5, 2))
    left = fit_independent(shared, np.ones((5, D)), same, LatticeConfig(bins=4, sweeps=1))

    give_back(shared, same, left, np.zeros((5, 2), np.int16), OWNER, 0.01)

    assert torch.isfinite(shared.mean_again.weight).all()


def test_the_limit_follows_what_is_demanded():
    loose, none, strict = (LatticeConfig(leakage_at_most=most).differ_at_most for most in (0.7, None, 0.55))

    assert loose > none > strict > 0
    assert LatticeConfig(leakage_at_most=1.0).differ_at_most == none
