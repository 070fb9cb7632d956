"""Nearest neighbours of our own against scikit-learn's, which they stand in for."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from measure import neighbours
from measure.neighbours import shares


def users(n, width=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "k", "classes"), [(5, 5, 2), (61, 15, 2), (255, 60, 7), (257, 1, 3), (1_023, 30, 18), (2_000, 300, 4)]
)
def test_they_vote_as_those_of_scikit_learn(n, k, classes):
    known, scored = users(n), users(400, seed=1)
    labels = np.arange(n) % classes
    theirs = KNeighborsClassifier(k, weights="distance", algorithm="brute").fit(known, labels)

    ours = shares(known, labels, scored, k)

    np.testing.assert_allclose(ours, theirs.predict_proba(scored), atol=1e-5)


def test_blocks_of_users_do_not_show(monkeypatch):
    known, scored, labels = users(500), users(300, seed=1), np.arange(500) % 3
    whole = shares(known, labels, scored, 20)
    monkeypatch.setattr(neighbours, "_BLOCK_VALUES", 7_000)

    np.testing.assert_allclose(shares(known, labels, scored, 20), whole, atol=1e-5)


def test_the_same_user_outvotes_all_others():
    known, labels = users(300), np.arange(300) % 2

    assert (shares(known, labels, known, 30)[np.arange(300), labels] > 0.999).all()


def test_users_on_a_line_are_told_apart_however_near_they_are():
    place = np.random.default_rng(0).normal(size=(4_000, 1))
    line = (place * np.ones((1, 64))).astype(np.float32)
    labels = np.arange(3_500) % 2
    theirs = KNeighborsClassifier(15, weights="distance", algorithm="kd_tree").fit(line[:3_500, :1], labels)

    ours = shares(line[:3_500], labels, line[3_500:], 15)

    np.testing.assert_allclose(ours, theirs.predict_proba(line[3_500:, :1]), atol=1e-3)


def test_of_users_who_are_all_alike_everybody_votes():
    alike, labels = np.ones((90, 4), np.float32), np.arange(90) % 3

    np.testing.assert_allclose(shares(alike, labels, alike[:2], 5), 1 / 3)
    np.testing.assert_allclose(shares(0 * alike, labels, 0 * alike[:2], 5), 1 / 3)
