"""The perceptrons of the suite against scikit-learn's, which they stand in for."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from measure.auc import macro_auc
from measure.perceptron import probabilities


def planted(classes, n=1_200, width=12, seed=0):
    """Users whose class is told by squares of their vectors, which nothing linear sees."""
    rng = np.random.default_rng(seed)
    users = rng.normal(size=(n, width)).astype(np.float32)
    strength = (users**2) @ rng.normal(size=(width, classes)) * 0.5
    return users, np.argmax(strength + rng.gumbel(size=strength.shape), axis=1)


def auc(found, labels):
    return macro_auc(found[:, 1:] if found.shape[1] == 2 else found, labels)


@pytest.mark.parametrize("classes", [2, 5])
def test_they_find_what_those_of_scikit_learn_find(classes):
    users, labels = planted(classes)
    theirs = MLPClassifier((128,), alpha=1.0, learning_rate_init=0.003, batch_size=128, random_state=0)
    for _ in range(30):
        theirs.partial_fit(users[:800], labels[:800], classes=np.arange(classes))

    ours = probabilities(users[:800], labels[:800], users[800:], penalty=1.0, members=1, seed=0)

    assert ours.shape == (400, classes)
    np.testing.assert_allclose(ours.sum(axis=1), 1, atol=1e-5)
    assert auc(ours, labels[800:]) > 0.62
    assert auc(ours, labels[800:]) == pytest.approx(auc(theirs.predict_proba(users[800:]), labels[800:]), abs=0.04)


def test_members_start_elsewhere_and_the_same_seed_repeats_them():
    users, labels = planted(2)

    def found(**options):
        options = {"penalty": 1.0, "members": 2, "seed": 0} | options
        return probabilities(users[:300], labels[:300], users[300:], **options)

    assert (found() == found()).all()
    assert (found() != found(seed=1)).any()
    assert (found() != found(members=1)).any()


def test_a_penalty_draws_weights_to_zero():
    users, labels = planted(2)

    loose, tight = (
        probabilities(users, labels, users, penalty=penalty, members=1, seed=0) for penalty in (0.0, 1_000.0)
    )

    assert loose[:, 1].std() > 0.2
    assert tight[:, 1].std() < 0.05
