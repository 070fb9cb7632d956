"""PCT in its dual form: distributions for everybody, the system's target on average, and no others nearer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from balance.errors import GroupsError, ShapeError
from balance.pct import MIXED, solve_tilt, tilted


def shares(users, groups, seed=0):
    rng = np.random.default_rng(seed)
    return (
        np.maximum(rng.dirichlet(np.full(groups, 0.3), users) - 0.02, 0.0) + np.eye(groups)[np.arange(users) % groups]
    )


@settings(max_examples=30, deadline=None)
@given(users=st.integers(1, 40), groups=st.integers(1, 8), seed=st.integers(0, 99), empty=st.booleans())
@example(users=1, groups=5, seed=84, empty=False)
def test_both_margins_are_exact(users, groups, seed, empty):
    own = shares(users, groups, seed)
    target = np.random.default_rng(seed + 1).dirichlet(np.ones(groups))
    if empty and groups > 1:
        target[0] = 0
        target /= target.sum()

    found = tilted(own, solve_tilt(own, target), target)

    assert found.sum(axis=1) == pytest.approx(np.ones(users), abs=1e-12)
    assert found.mean(axis=0) == pytest.approx(target, abs=1e-9)
    assert (found[:, target == 0] == 0).all()


def test_no_other_targets_with_that_mean_are_nearer_to_the_users_own():
    own, target = shares(3, 3, 4), np.array([0.5, 0.2, 0.3])
    mixed = (1 - MIXED) * own / own.sum(axis=1, keepdims=True) + MIXED * target

    def distance(flat):
        p = np.maximum(flat.reshape(3, 3), 1e-12)
        return float((p * np.log(p / mixed)).sum())

    margins = [
        {"type": "eq", "fun": lambda flat: flat.reshape(3, 3).sum(axis=1) - 1},
        {"type": "eq", "fun": lambda flat: (flat.reshape(3, 3).mean(axis=0) - target)[:2]},
    ]
    nearest = minimize(
        distance,
        np.tile(target, 3),
        constraints=margins,
        bounds=[(1e-9, 1)] * 9,
        options={"ftol": 1e-12, "maxiter": 500},
    )

    found = tilted(own, solve_tilt(own, target), target)

    assert nearest.success
    assert found == pytest.approx(nearest.x.reshape(3, 3), abs=1e-4)
    assert distance(found.ravel()) <= nearest.fun + 1e-9


def test_users_who_are_at_the_target_already_stay():
    own = np.tile([0.1, 0.2, 0.7], (5, 1))

    tilt = solve_tilt(own, own[0])

    assert tilt == pytest.approx(np.zeros(3), abs=1e-9)
    assert tilted(own, tilt, own[0]) == pytest.approx(own)


def test_a_new_user_gets_a_target_that_depends_on_nobody_else():
    own, target = shares(20, 4), np.full(4, 0.25)
    tilt = solve_tilt(own, target)
    new = shares(6, 4, seed=9)

    alone = np.concatenate([tilted(new[[row]], tilt, target) for row in range(6)])

    assert alone.tolist() == tilted(new, tilt, target).tolist()
    assert not np.allclose(alone[0], alone[1])


def test_a_user_who_likes_a_group_more_has_more_of_it():
    own = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    target = np.array([0.3, 0.7])

    found = tilted(own, solve_tilt(own, target), target)

    assert found[0, 0] > found[2, 0] > found[1, 0]


@pytest.mark.parametrize(
    ("own", "target", "error"),
    [
        (np.ones((2, 3)), np.array([0.5, 0.5]), ShapeError),
        (np.ones((0, 2)), np.array([0.5, 0.5]), ShapeError),
        (np.array([[0.0, 0.0]]), np.array([0.5, 0.5]), GroupsError),
        (np.array([[1.0, -0.1]]), np.array([0.5, 0.5]), GroupsError),
        (np.ones((1, 2)), np.array([0.5, 0.6]), GroupsError),
        (np.ones((1, 2)), np.array([1.5, -0.5]), GroupsError),
    ],
)
def test_arguments_that_do_not_fit_are_refused(own, target, error):
    with pytest.raises(error):
        solve_tilt(own, target)
