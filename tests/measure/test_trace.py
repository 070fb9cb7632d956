"""The trace of scores: what is read of coordinates from vectors that have all, some, or nothing of them."""

from __future__ import annotations

import numpy as np
import pytest

from measure.trace import coordinates, trace


def users(n=1_500, d=8):
    return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)


def test_what_is_there_is_read_and_what_is_not_is_at_chance():
    u = users()
    wanted = coordinates(u[:, :1].astype(np.float64))

    whole, without = trace(u, wanted, seed=0), trace(u[:, 1:], wanted, seed=0)

    assert whole.n == without.n == 1_500
    assert whole.auc > 0.95
    assert without.auc < 0.55
    assert whole.ci95[0] < whole.auc < whole.ci95[1]
    assert without.ci95[0] < 0.5 + 0.02


def test_what_is_only_in_the_spread_is_read():
    u = users()
    hidden = u[:, 1:] * (1 + 1.5 * (u[:, :1] > 0))

    assert trace(hidden, coordinates(u[:, :1].astype(np.float64)), seed=0).auc > 0.8


def test_coordinates_count_by_their_share_of_the_variance():
    u = users()
    scores = np.stack([3 * u[:, 0], u[:, 1], np.zeros(len(u))], axis=1).astype(np.float64)
    wanted = coordinates(scores)

    large, small = (trace(np.delete(u, gone, axis=1), wanted, seed=0) for gone in (1, 0))

    assert wanted.above.shape == (1_500, 2)
    assert wanted.shares == pytest.approx([0.9, 0.1], abs=0.01)
    assert large.auc > 0.88
    assert small.auc < 0.62


def test_scores_that_do_not_vary_have_nothing_to_read():
    flat = coordinates(np.zeros((300, 3)))

    found = trace(users(300), flat, seed=0)

    assert found.auc == 0.5


def test_the_same_seed_reads_the_same():
    u = users(400)
    wanted = coordinates(u[:, :2].astype(np.float64))

    assert trace(u, wanted, seed=1) == trace(u, wanted, seed=1)
    assert trace(u, wanted, seed=1) != trace(u, wanted, seed=2)
