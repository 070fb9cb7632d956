"""UOF and CPFair: lists of k, groups served alike, item groups near their target."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from balance.candidates import Candidates, in_order, scaled
from balance.cpfair import Consumers, Producers, two_sided
from balance.errors import GroupsError, InfeasibleError, OutOfRangeError, ShapeError
from balance.shares import ItemShares
from balance.user_fairness import f1_quality, user_fair

GROUPS = np.array([0, 1, 1, -1])
SHARES = ItemShares([["a"], ["a", "b"], ["b"], ["c"], ["a"], ["a"]])


def some(seed=0, users=4, width=4):
    rng = np.random.default_rng(seed)
    items = np.array([rng.permutation(6)[:width] for _ in range(users)])
    items[-1, -1] = -1
    return Candidates(items, -np.sort(-rng.random((users, width)), axis=1)), rng


def all_lists(candidates, k):
    rows = [combinations(np.flatnonzero(row), k) for row in candidates.filled]
    return product(*map(list, rows))


def gap_of(quality, groups, places):
    each = np.array([quality[user, list(row)].sum() for user, row in enumerate(places)])
    return each[groups == 0].mean() - each[groups == 1].mean()


@pytest.mark.parametrize("seed", range(6))
def test_the_gap_is_kept_by_the_most_relevant_lists_that_keep_it(seed):
    candidates, rng = some(seed)
    quality = rng.random(candidates.items.shape)
    worth = {
        lists: np.mean([candidates.relevance[user, list(row)].sum() for user, row in enumerate(lists)])
        for lists in all_lists(candidates, 2)
        if abs(gap_of(quality, GROUPS, lists)) <= 0.05
    }

    found = user_fair(candidates, quality, GROUPS, 2, 0.05, gap=0)

    assert found.value == pytest.approx(max(worth.values()), abs=1e-6)
    assert found.gap == pytest.approx(gap_of(quality, GROUPS, found.places))
    assert abs(found.gap) <= 0.05 + 1e-6


def test_where_the_gap_is_wide_enough_nothing_changes():
    candidates, _ = some(3)

    found = user_fair(candidates, candidates.relevance, GROUPS, 3, 10)

    assert found.places.tolist() == [[0, 1, 2]] * 4


def test_with_relevance_for_quality_only_the_better_group_loses():
    relevance = np.array([[0.9, 0.8, 0.1, 0.0], [0.5, 0.4, 0.3, 0.2]])
    candidates = Candidates(np.tile(np.arange(4), (2, 1)), relevance)

    found = user_fair(candidates, relevance, np.array([0, 1]), 2, 0.2, gap=0)

    assert found.places[1].tolist() == [0, 1]
    assert found.places[0].tolist() == [0, 2]


def test_f1_of_a_list_is_the_sum_of_its_quality():
    liked = np.array([[True, False, True], [False, False, False]])

    quality = f1_quality(liked, np.array([4, 2]), 2)

    assert quality[0, [0, 2]].sum() == pytest.approx(2 * (2 / 2) * (2 / 4) / (2 / 2 + 2 / 4))
    assert quality[1].sum() == 0


def test_what_is_liked_is_brought_forward_for_the_group_that_is_served_worse():
    relevance = np.tile([0.9, 0.8, 0.7, 0.6], (2, 1))
    liked = np.array([[True, True, False, False], [False, False, True, True]])
    candidates = Candidates(np.tile(np.arange(4), (2, 1)), relevance)

    found = user_fair(candidates, f1_quality(liked, np.array([2, 2]), 2), np.array([0, 1]), 2, 0.0, gap=0)

    assert found.gap == pytest.approx(0)
    assert 2 in found.places[1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("consumer", "producer"), [(0.5, 0.0), (0.0, 0.7), (0.4, 0.6)])
def test_cpfair_has_the_best_of_all_lists(seed, consumer, producer):
    candidates, rng = some(seed)
    quality = rng.random(candidates.items.shape)
    target = np.array([0.2, 0.3, 0.5])
    member = np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]])

    def worth(lists):
        relevance = np.mean([candidates.relevance[user, list(row)].sum() for user, row in enumerate(lists)])
        shown = np.mean([member[candidates.items[user, list(row)]].mean(axis=0) for user, row in enumerate(lists)], 0)
        return relevance - consumer * abs(gap_of(quality, GROUPS, lists)) - producer * np.abs(shown - target).sum()

    found = two_sided(candidates, 2, Consumers(GROUPS, quality, consumer), Producers(SHARES, target, producer), gap=0)

    assert found.value == pytest.approx(max(map(worth, all_lists(candidates, 2))), abs=1e-6)
    assert found.value == pytest.approx(worth(found.places), abs=1e-9)


def test_one_side_alone_is_possible_and_none_keeps_the_lists():
    candidates, _ = some(1)
    target = np.array([0.0, 0.0, 1.0])

    producers = two_sided(candidates, 2, None, Producers(SHARES, target, 100.0))
    nothing = two_sided(candidates, 2, None, None)

    assert np.isnan(producers.gap)
    has_c = (candidates.items == 3).any(axis=1)
    assert (np.take_along_axis(candidates.items, producers.places, axis=1) == 3).any(axis=1).tolist() == has_c.tolist()
    assert nothing.places.tolist() == [[0, 1]] * 4


def test_users_with_fewer_candidates_than_places_get_them_all():
    candidates = Candidates(np.array([[3, -1, -1], [0, 1, 2]]), np.array([[0.5, 0, 0], [0.9, 0.8, 0.7]]))

    found = user_fair(candidates, candidates.relevance, np.array([0, 1]), 2, 5)

    assert found.places.tolist() == [[0, -1], [0, 1]]


def test_order_is_by_relevance_then_by_place():
    chosen = np.array([[True, False, True, True]])

    assert in_order(np.array([[0.1, 0.9, 0.5, 0.5]]), chosen, 4).tolist() == [[2, 3, 0, -1]]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"k": 0}, OutOfRangeError, "k is 0, expected 1 to 4"),
        ({"k": 5}, OutOfRangeError, "k is 5, expected 1 to 4"),
        ({"epsilon": -1}, OutOfRangeError, "epsilon is -1"),
        ({"epsilon": float("nan")}, OutOfRangeError, "epsilon is nan"),
        ({"quality": np.zeros((4, 5))}, ShapeError, "quality has shape"),
        ({"quality": np.full((4, 4), np.nan)}, OutOfRangeError, "quality is nan"),
        ({"groups": np.array([0, 1, 2, 0])}, GroupsError, r"users are in groups \[0, 1, 2\]"),
        ({"groups": np.array([0, 0, -1, -1])}, GroupsError, "groups have 2 and 0 users"),
        ({"groups": np.array([0, 1])}, ShapeError, "groups has shape"),
        ({"quality": np.outer([9.0, 1, 1, 1], np.ones(4))}, InfeasibleError, "lists reach 16 to 16"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, error, says):
    candidates, _ = some()
    given = {"quality": candidates.relevance, "groups": GROUPS, "k": 2, "epsilon": 0.1} | change

    with pytest.raises(error, match=says):
        user_fair(candidates, **given)


@pytest.mark.parametrize(
    ("items", "relevance", "error"),
    [
        (np.zeros((2, 3), int), np.zeros((2, 2)), ShapeError),
        (np.array([[0, -1, 1]]), np.zeros((1, 3)), ShapeError),
        (np.array([[0, 1]]), np.array([[0.0, np.inf]]), OutOfRangeError),
    ],
)
def test_candidates_that_are_none_are_refused(items, relevance, error):
    with pytest.raises(error):
        Candidates(items, relevance)


def test_scores_are_brought_to_0_to_1_over_what_is_there():
    scores = np.array([[-2.0, -3.0, -6.0, 9.0], [5.0, 5.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    filled = np.array([[True, True, True, False], [True, True, False, False], [False] * 4])

    assert scaled(scores, filled).tolist() == [[1, 0.75, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
