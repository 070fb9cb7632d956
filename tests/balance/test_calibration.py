"""The greedy order is that of the equations, of each list alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balance.calibration import ALPHA, calibrated, divergence
from balance.shares import ItemShares
from measure.fairness import calibration as measured
from measure.fairness.exposure import rows_of
from measure.fairness.items import item_groups

GROUPS = [("a",), ("a", "b"), ("b", "c"), (), ("c",), ("a", "b", "c"), ("b",), ("a",), ("c", "a"), ("a",)]


def drawn(seed, candidates=10, ties=False):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(GROUPS))[:candidates]
    scores = -np.sort(-rng.integers(0, 4, candidates) / 4 if ties else -rng.normal(size=candidates))
    return rows, scores, rng.dirichlet(np.ones(4)), rng.choice([0.0, 0.3, 0.5, 0.9, 1.0])


def value_of(shown, rows, scores, target, weight):
    """(1 - w) score of the last item - w KL(p || q~) of the list, by the metric itself."""
    unit = (scores - scores.min()) / (np.ptp(scores) or 1.0)
    exposed = rows_of(np.array([[rows[place] for place in shown]]), item_groups(GROUPS))
    return (1 - weight) * unit[shown[-1]] - weight * measured.user_kl(target[None], exposed, ALPHA)[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 10))
def test_every_place_goes_to_the_item_that_the_equation_says(seed, ties, candidates):
    rows, scores, target, weight = task = drawn(seed, candidates, ties)

    (places,) = calibrated(rows[None], scores[None], ItemShares(GROUPS), target[None], np.array([weight]), candidates)

    chosen = places.tolist()
    assert sorted(chosen) == list(range(candidates))
    for rank, place in enumerate(chosen):
        values = {other: value_of([*chosen[:rank], other], *task) for other in chosen[rank:]}
        assert values[place] == pytest.approx(max(values.values()), abs=1e-9)


def test_a_list_is_a_function_of_its_own_row_in_any_batch():
    shares = ItemShares(GROUPS)
    tasks = [drawn(seed, 3 + seed % 8) for seed in range(40)]
    width = max(len(rows) for rows, *_ in tasks)
    candidates = np.array([[*rows, *[-1] * (width - len(rows))] for rows, *_ in tasks])
    scores = np.array([[*scores, *[0.0] * (width - len(scores))] for _, scores, *_ in tasks])
    targets, weights = np.array([task[2] for task in tasks]), np.array([task[3] for task in tasks])

    together = calibrated(candidates, scores, shares, targets, weights, width)
    alone = [
        calibrated(rows[None], scores[None], shares, target[None], np.array([weight]), len(rows))[0]
        for rows, scores, target, weight in tasks
    ]

    for row, own in zip(together, alone, strict=True):
        assert row.tolist() == [*own, *[-1] * (width - len(own))]


def test_weight_0_keeps_the_order_and_weight_1_looks_at_the_target_alone():
    shares = ItemShares([("a",)] * 5 + [("b",)] * 5)
    candidates, scores = np.arange(10)[None], np.arange(10, 0, -1.0)[None]
    target = np.array([[0.5, 0.5]])

    kept = calibrated(candidates, scores, shares, target, np.array([0.0]), 6)
    even = calibrated(candidates, scores, shares, target, np.array([1.0]), 6)

    assert kept.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert even[0, :2].tolist() == [0, 5]
    assert divergence(candidates[:, even[0]], shares, target) < 0.1 * divergence(candidates[:, :6], shares, target)


def test_of_equally_good_items_the_first_comes_first():
    shares = ItemShares([("a",), ("a",), ("b",), ("b",)])

    places = calibrated(np.array([[1, 0, 3, 2]]), np.ones((1, 4)), shares, np.array([[0.5, 0.5]]), np.array([0.7]), 4)

    assert places[0, :2].tolist() == [0, 2]


def test_scores_have_no_scale():
    rows, scores, target, _ = drawn(3)
    args = (ItemShares(GROUPS), target[None], np.array([0.5]), 10)

    one = calibrated(rows[None], scores[None], *args)
    other = calibrated(rows[None], 1024 * scores[None] - 7, *args)

    assert one.tolist() == other.tolist()


def test_divergence_is_that_of_the_metric():
    rng = np.random.default_rng(1)
    lists = np.stack([rng.permutation(10)[:6] for _ in range(20)])
    lists[3, 4:] = -1
    lists[4] = -1
    targets = rng.dirichlet(np.ones(4), 20)
    targets[5] = [0, 0.5, 0.5, 0]

    found = divergence(lists, ItemShares(GROUPS), targets)

    assert found == pytest.approx(measured.user_kl(targets, rows_of(lists, item_groups(GROUPS))), nan_ok=True)
    assert np.isnan(found[4])
    assert ALPHA == measured.ALPHA


def test_many_groups_are_ordered_in_parts(monkeypatch):
    rows, scores, target, weight = drawn(8)
    several = (np.tile(rows, (5, 1)), np.tile(scores, (5, 1)), ItemShares(GROUPS), np.tile(target, (5, 1)))
    whole = calibrated(*several, np.full(5, weight), 4)

    monkeypatch.setattr("balance.calibration.TABLE", 1)

    assert calibrated(*several, np.full(5, weight), 4).tolist() == whole.tolist()


def test_nothing_to_order():
    shares = ItemShares(GROUPS)

    none = calibrated(np.zeros((0, 3), int), np.zeros((0, 3)), shares, np.zeros((0, 4)), np.zeros(0), 2)
    empty = calibrated(np.full((1, 3), -1), np.zeros((1, 3)), shares, np.full((1, 4), 0.25), np.array([0.5]), 2)

    narrow = calibrated(np.zeros((1, 0), int), np.zeros((1, 0)), shares, np.full((1, 4), 0.25), np.array([0.5]), 2)

    assert none.shape == (0, 2)
    assert narrow.tolist() == [[-1, -1]]
    assert empty.tolist() == [[-1, -1]]
