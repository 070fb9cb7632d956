import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from measure.accuracy import accuracy, full_ranks, hit_at, ndcg_at, sample_negatives, sampled_ranks
from measure.errors import NotFiniteError, OutOfRangeError, ShapeError, TooFewUsersError
from measure.scoring import Scorer


def csr(*rows):
    indptr = np.cumsum([0, *(len(row) for row in rows)])
    return indptr, np.array([item for row in rows for item in row], dtype=np.int64)


def test_ndcg_discounts_a_rank_by_the_log_of_its_place():
    scores = ndcg_at(10, np.array([0, 1, 2, 9, 10, -1]))

    np.testing.assert_allclose(scores[:5], [1.0, 1 / np.log2(3), 0.5, 1 / np.log2(11), 0.0])
    assert np.isnan(scores[5])


def test_hit_counts_the_first_k_places_only():
    hits = hit_at(2, np.array([0, 1, 2, -1]))

    np.testing.assert_array_equal(hits, [1.0, 1.0, 0.0, np.nan])


@pytest.mark.parametrize("metric", [ndcg_at, hit_at])
def test_a_cut_off_below_one_is_refused(metric):
    with pytest.raises(OutOfRangeError) as refused:
        metric(0, np.array([0]))

    assert refused.value.value == 0


def test_accuracy_averages_over_the_chosen_users_that_have_a_positive():
    sampled, full = np.array([0, 2, -1, 50]), np.array([1, 15, -1, 400])

    everyone = accuracy(sampled, full)
    first_two = accuracy(sampled, full, rows=np.array([0, 1]))

    assert everyone["n"] == 3
    assert everyone["sampled"] == {"ndcg@10": pytest.approx(0.5), "hit@10": pytest.approx(2 / 3)}
    assert everyone["full"] == {"ndcg@10": pytest.approx(1 / np.log2(3) / 3), "recall@20": pytest.approx(2 / 3)}
    assert first_two["n"] == 2
    assert first_two["sampled"]["ndcg@10"] == pytest.approx(0.75)


def test_accuracy_of_nobody_is_refused_rather_than_zero():
    with pytest.raises(TooFewUsersError):
        accuracy(np.array([-1]), np.array([-1]))


def test_sampled_ranks_count_the_negatives_ahead():
    items = np.array([[0.0], [1.0], [2.0], [3.0]])
    users = np.array([[1.0], [-1.0], [1.0]])

    ranks = sampled_ranks(users, Scorer(items), np.array([1, 1, -1]), np.array([[0, 2, 3], [0, 2, -1], [0, 1, 2]]))

    np.testing.assert_array_equal(ranks, [2, 1, -1])


@pytest.mark.parametrize(("positive", "rank"), [(0, 0), (1, 1), (2, 2)])
def test_scores_equal_to_a_millionth_are_ordered_by_item_index(positive, rank):
    items = np.array([[1.0], [1.0 + 2e-7], [1.0 - 2e-7]])
    others = np.array([[item for item in range(3) if item != positive]])
    nothing_seen = csr([])

    sampled = sampled_ranks(np.ones((1, 1)), Scorer(items), np.array([positive]), others)
    full = full_ranks(np.ones((1, 1)), Scorer(items), np.array([positive]), *nothing_seen)

    assert sampled[0] == full[0] == rank


def test_full_ranks_drop_seen_items_but_keep_the_positive():
    items = np.array([[0.0], [1.0], [2.0], [3.0]])
    users = np.ones((3, 1))

    ranks = full_ranks(users, Scorer(items), np.array([0, 1, -1]), *csr([0, 3, 3], [], [1]))

    np.testing.assert_array_equal(ranks, [2, 2, -1])


def test_full_ranks_do_not_depend_on_the_size_of_a_block(monkeypatch):
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(20, 4)), rng.normal(size=(30, 4))
    seen = csr(*(rng.choice(30, 5, replace=False) for _ in range(20)))
    positive = rng.integers(0, 30, 20)
    at_once = full_ranks(users, Scorer(items), positive, *seen)

    monkeypatch.setattr("measure.accuracy._BLOCK_SCORES", 31)

    np.testing.assert_array_equal(full_ranks(users, Scorer(items), positive, *seen), at_once)


@given(st.lists(st.lists(st.integers(0, 11), max_size=14), min_size=1, max_size=5), st.integers(0, 2**31))
def test_negatives_are_distinct_eligible_items_and_as_many_as_there_are(rows, seed):
    drawn = sample_negatives(*csr(*rows), item_count=12, count=6, seed=seed)

    assert drawn.shape == (len(rows), 6)
    for row, excluded in zip(drawn, rows, strict=True):
        items = row[row >= 0].tolist()
        assert len(items) == len(set(items)) == min(6, 12 - len(set(excluded)))
        assert not set(items) & set(excluded)


def test_every_eligible_item_is_drawn_equally_often():
    drawn = sample_negatives(*csr(*([[1, 4]] * 3_000)), item_count=7, count=2, seed=0)

    often = np.bincount(drawn.ravel(), minlength=7)

    assert often[[1, 4]].sum() == 0
    np.testing.assert_allclose(often[[0, 2, 3, 5, 6]] / 3_000, 2 / 5, atol=0.04)


def test_the_same_seed_draws_the_same_negatives():
    excluded = csr([1], [2, 3])

    once, again, other = (sample_negatives(*excluded, item_count=500, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    assert once.shape == (2, 99)
    assert once.dtype == np.int32


def test_vectors_that_do_not_fit_are_refused_with_their_shape():
    with pytest.raises(ShapeError) as refused:
        full_ranks(np.ones((2, 3)), Scorer(np.ones((4, 2))), np.array([0, 0]), *csr([], []))

    assert refused.value.shape == (2, 3)


def test_a_vector_that_is_not_a_number_is_refused():
    items = np.ones((3, 1))
    items[1] = np.nan

    with pytest.raises(NotFiniteError) as refused:
        full_ranks(np.ones((1, 1)), Scorer(items), np.array([0]), *csr([]))

    assert (refused.value.what, refused.value.count) == ("item_vectors", 1)


def test_an_item_outside_the_catalogue_is_refused():
    with pytest.raises(OutOfRangeError) as refused:
        sample_negatives(*csr([12]), item_count=12)

    assert refused.value.value == 12


def test_row_ends_that_do_not_end_with_the_entries_are_refused():
    with pytest.raises(ShapeError):
        sample_negatives(np.array([0, 3]), np.array([1, 2]), item_count=12)


def test_accuracy_needs_numpy_alone():
    program = "import sys, measure.accuracy; print({'sklearn', 'scipy', 'torch', 'bundle'} & set(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "set()"
