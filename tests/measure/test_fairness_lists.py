"""Lists, item groups, and how alike two lists are."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measure.errors import ListsError, OutOfRangeError, ShapeError
from measure.fairness.items import UNGROUPED, discount, item_groups, listed
from measure.fairness.overlap import overlap

ITEMS = 12


def lists_of(*rows, k=None):
    k = k or max(len(row) for row in rows)
    return np.array([[*row, *[-1] * (k - len(row))] for row in rows], np.int32)


some_lists = st.integers(0, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=k, unique=True), min_size=1, max_size=6).map(
        lambda rows: lists_of(*rows, k=k)
    )
)


def jaccard(first, second):
    return overlap(lists_of(first), lists_of(second), ITEMS).jaccard[0]


def rbo(first, second, p=0.9):
    return overlap(lists_of(first), lists_of(second), ITEMS, p).rbo[0]


def test_jaccard_counts_what_both_have_over_what_either_has():
    assert jaccard([1, 2, 3], [2, 1, 4]) == 2 / 4
    assert jaccard([1, 2, 3, 4], [4]) == 1 / 4
    assert jaccard([1, 2], [3, 4]) == 0


def test_rbo_of_lists_of_equal_length_is_equation_30():
    # shared among the first 1, 2, 3: 0, 2, 2
    p = 0.9
    by_hand = 2 / 3 * p**3 + (1 - p) / p * (0 + 2 / 2 * p**2 + 2 / 3 * p**3)

    assert rbo([1, 2, 3], [2, 1, 4]) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.63)


def test_rbo_of_lists_of_different_length_is_equation_32():
    p = 0.8
    shared, short, long = {1: 0, 2: 1, 3: 2, 4: 2}, 2, 4  # [1, 2] beside [2, 3, 1, 4]
    by_hand = (1 - p) / p * (
        sum(shared[d] / d * p**d for d in range(1, 5))
        + sum(shared[short] * (d - short) / (short * d) * p**d for d in (3, 4))
    ) + ((shared[long] - shared[short]) / long + shared[short] / short) * p**long

    assert rbo([1, 2], [2, 3, 1, 4], p) == pytest.approx(by_hand)
    assert rbo([1], [1, 2]) == pytest.approx(1)  # all that both could agree on, they do
    assert rbo([1], [2, 1]) == pytest.approx(0.9 / 2)


def test_what_is_alike_at_the_top_counts_more():
    assert rbo([1, 2, 3, 4], [1, 5, 6, 7]) > rbo([1, 2, 3, 4], [5, 6, 7, 4])


def test_two_empty_lists_are_not_compared_and_one_empty_list_has_nothing_in_common():
    found = overlap(lists_of([], [1]), lists_of([], []), ITEMS)

    assert np.isnan(found.jaccard[0])
    assert np.isnan(found.rbo[0])
    assert (found.jaccard[1], found.rbo[1]) == (0, 0)


@settings(deadline=None)
@given(some_lists, some_lists, st.floats(0.05, 0.95), st.randoms())
def test_overlap_is_between_0_and_1_symmetric_and_a_matter_of_each_user_alone(first, second, p, random):
    users = min(len(first), len(second))
    first, second = first[:users], second[:users]
    order = random.sample(range(users), users)

    one, other = overlap(first, second, ITEMS, p), overlap(second, first, ITEMS, p)
    reordered = overlap(first[order], second[order], ITEMS, p)

    for here, there, again in zip(one, other, reordered, strict=True):
        assert ((here >= 0) & (here <= 1 + 1e-12) | np.isnan(here)).all()
        np.testing.assert_allclose(here, there, atol=1e-12)
        np.testing.assert_array_equal(here[order], again)


@settings(deadline=None)
@given(some_lists)
def test_a_list_is_wholly_like_itself(lists):
    found = overlap(lists, lists, ITEMS)

    there = (lists >= 0).any(axis=1)
    np.testing.assert_allclose(found.jaccard[there], 1)
    np.testing.assert_allclose(found.rbo[there], 1)


def test_a_whole_service_is_compared_in_less_than_a_blink():
    rng = np.random.default_rng(0)
    first, second = (rng.permuted(np.tile(np.arange(40, dtype=np.int32), (6_040, 1)), axis=1)[:, :10] for _ in "12")

    started = time.perf_counter()
    overlap(first, second, 40)

    assert time.perf_counter() - started < 0.5  # some 15 ms; the bound is for a busy machine


def test_many_users_are_compared_block_by_block_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(1)
    first, second = (rng.permuted(np.tile(np.arange(20, dtype=np.int32), (50, 1)), axis=1)[:, :6] for _ in "12")
    whole = overlap(first, second, 20)

    monkeypatch.setattr("measure.fairness.overlap._BLOCK_PAIRS", 100)

    np.testing.assert_array_equal(overlap(first, second, 20).rbo, whole.rbo)


@pytest.mark.parametrize(
    ("row", "found"),
    [([3, -1, 4], "behind an empty place"), ([3, 4, 3], "twice"), ([3, 12, 4], "0 to 11"), ([3, -2, 4], "0 to 11")],
)
def test_what_is_no_list_is_refused_by_its_row(row, found):
    good = lists_of([1, 2, 3])

    with pytest.raises(ListsError, match=found) as refused:
        overlap(np.concatenate([good, np.array([row], np.int32)]), np.tile(good, (2, 1)), ITEMS)

    assert refused.value.row == 1


def test_different_numbers_of_users_and_impossible_readers_are_refused():
    with pytest.raises(ShapeError):
        overlap(lists_of([1]), lists_of([1], [2]), ITEMS)
    with pytest.raises(OutOfRangeError):
        overlap(lists_of([1]), lists_of([1]), ITEMS, 1.0)


def test_item_groups_are_named_in_alphabetical_order_and_nothing_is_left_out():
    groups = item_groups([["war"], [], ["drama", "war", "drama"]])

    assert groups.names == ("drama", "war", UNGROUPED)
    assert groups.item_count == 3
    assert [groups.indices[a:b].tolist() for a, b in zip(groups.indptr, groups.indptr[1:], strict=False)] == [
        [1],
        [2],
        [0, 1],
    ]


def test_an_item_of_several_groups_counts_in_equal_shares_or_wholly_in_each():
    groups = item_groups([["a"], ["a", "b"], []])
    lists = lists_of([0, 1], [1], [2], [])
    weights = np.array([1.0, 0.5])

    np.testing.assert_allclose(
        listed(lists, groups, weights, shared=True), [[1.25, 0.25, 0], [0.5, 0.5, 0], [0, 0, 1], [0, 0, 0]]
    )
    np.testing.assert_allclose(
        listed(lists, groups, weights, shared=False), [[1.5, 0.5, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]]
    )


def test_the_discount_is_one_at_the_top():
    np.testing.assert_allclose(discount(3), [1, 1 / np.log2(3), 0.5])


def test_lists_are_summed_block_by_block_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(2)
    groups = item_groups([rng.choice(["a", "b", "c"], 2, replace=False).tolist() for _ in range(20)])
    lists = rng.permuted(np.tile(np.arange(20, dtype=np.int32), (30, 1)), axis=1)[:, :5]
    whole = listed(lists, groups, discount(5), shared=True)

    monkeypatch.setattr("measure.fairness.items._BLOCK_ENTRIES", 12)

    np.testing.assert_array_equal(listed(lists, groups, discount(5), shared=True), whole)
