"""Orders of a model that is no inner product: candidates first, by its own scores; the rest where they were."""

import numpy as np
import pytest

from measure.accuracy import full_ranks, sampled_ranks
from measure.candidates import candidate_step
from measure.scoring import Scorer

ITEMS = np.arange(6.0, 0.0, -1)[:, None]  # by inner product with (1): 0, 1, 2, 3, 4, 5
OWN = np.array([0.0, 2.0, 1.0, 4.0, 9.0, 3.0])  # by their own scores: 4, 3, 5, 1, 2, 0


def own(users, rows):
    return OWN[rows] * users[:, :1]


def a_scorer(candidates):
    return Scorer(ITEMS, own, candidates)


def csr(*rows):
    return np.cumsum([0, *(len(row) for row in rows)]), np.array([item for row in rows for item in row], np.int64)


def full(candidates, seen=()):
    """Rank of each item in turn."""
    return full_ranks(np.ones((6, 1)), a_scorer(candidates), np.arange(6), *csr(*([seen] * 6))).tolist()


def test_candidates_are_ordered_by_their_own_scores_and_the_rest_stays_behind():
    assert full(3) == [2, 0, 1, 3, 4, 5]
    assert full(4) == [3, 1, 2, 0, 4, 5]
    assert full(6) == [5, 3, 4, 1, 0, 2]
    assert full(100) == full(6)


def test_without_scores_of_their_own_items_stay_in_the_order_of_the_inner_product():
    ranks = full_ranks(np.ones((6, 1)), Scorer(ITEMS), np.arange(6), *csr(*([()] * 6)))

    assert ranks.tolist() == list(range(6))


def test_seen_items_are_no_candidates():
    # without 0 and 1 the candidates are 2, 3, 4; a positive is taken out of seen, so item 0 is one when it is asked for
    assert full(3, seen=(0, 1)) == [2, 1, 2, 1, 0, 3]


def test_sampled_ranks_are_by_the_models_own_scores_whether_candidate_or_not():
    negatives = np.array([[1, 2, 3], [0, 4, -1]])

    ranks = sampled_ranks(np.ones((2, 1)), a_scorer(1), np.array([0, 5]), negatives)

    assert ranks.tolist() == [3, 1]


def test_own_scores_equal_to_a_millionth_are_ordered_by_item():
    tied = Scorer(ITEMS, lambda users, rows: 1.0 + 1e-8 * rows, 6)

    ranks = full_ranks(np.ones((6, 1)), tied, np.arange(6), *csr(*([()] * 6)))

    assert ranks.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("candidates", "seen", "recall"), [(3, (), 0.0), (4, (), 0.5), (5, (), 1.0), (3, (0, 1), 0.5), (1, (1, 2, 3), 0.0)]
)
def test_recall_is_the_share_of_the_models_own_first_items_that_are_candidates(candidates, seen, recall):
    step = candidate_step(2, np.ones((1, 1)), a_scorer(candidates), np.array([0]), *csr(seen))

    assert step.recall.tolist() == [recall]


def test_recall_is_of_what_is_left_where_less_than_a_list_is():
    step = candidate_step(10, np.ones((1, 1)), a_scorer(2), np.array([0]), *csr([2, 3, 5]))

    assert step.recall.tolist() == [2 / 3]


def test_ranks_without_the_candidate_step_are_those_of_the_whole_catalogue():
    nothing = csr(*([()] * 6))

    step = candidate_step(2, np.ones((6, 1)), a_scorer(2), np.array([0, 1, 2, 3, 4, -1]), *nothing)

    assert step.ranks.tolist() == [5, 3, 4, 1, 0, -1]
    assert np.isnan(step.recall[5])
