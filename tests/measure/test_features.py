import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from measure.attackers import Attempt, attack
from measure.errors import NotFiniteError, OutOfRangeError, ShapeError
from measure.features import list_features, met, noise_like, prepare, side_by_side, whitened


def test_a_list_becomes_the_indicators_of_its_items():
    features = list_features(np.array([[2, 0], [3, -1]]), item_count=4)

    np.testing.assert_array_equal(features.toarray(), [[1, 0, 1, 0], [0, 0, 0, 1]])


def test_a_list_can_weigh_its_items_by_rank():
    features = list_features(np.array([[2, 0, 3]]), item_count=4, by_rank=True)

    np.testing.assert_allclose(features.toarray(), [[1 / np.log2(3), 0, 1, 0.5]], rtol=1e-6)


def test_a_list_with_an_item_outside_the_catalogue_is_refused():
    with pytest.raises(OutOfRangeError):
        list_features(np.array([[4]]), item_count=4)


def test_views_side_by_side_are_the_first_and_what_differs_from_it():
    first = np.array([[1.0, 2.0], [3.0, 5.0]])

    both = side_by_side([first, first + np.array([[0.1, 0.0], [0.2, 0.0]]), first + 1e-9])

    np.testing.assert_allclose(both, [[1, 2, 0.1, 0, 0, 0], [3, 5, 0.2, 0, 0, 0]], atol=1e-8)
    assert (both[:, 3:] == 0).all()


def test_lists_side_by_side_weigh_as_much_as_each_other():
    rng = np.random.default_rng(0)
    first = list_features(rng.integers(0, 30, (50, 5)), 30)
    same = side_by_side([first, first])
    other = side_by_side([first, list_features(rng.integers(0, 30, (50, 5)), 30)])

    assert same.shape == other.shape == (50, 60)
    assert not same[:, 30:].toarray().any()
    spread = other.toarray().var(axis=0)
    assert spread[:30].sum() == pytest.approx(spread[30:].sum(), rel=1e-4)


def test_dense_columns_are_scaled_by_the_fitting_rows_and_constant_ones_vanish():
    values = np.array([[0.0, 7.0], [2.0, 7.0], [9.0, 8.0]])
    users = prepare(values)

    scaled = users.scaled(users.rows(np.array([0, 1])))

    np.testing.assert_allclose(scaled.dense, [[-1, 0], [1, 0], [8, 0]])


def test_sparse_features_are_scaled_by_one_number():
    features = list_features(np.random.default_rng(0).integers(0, 200, (300, 10)), 200)
    users = prepare(features)

    scaled = users.scaled(users)

    assert sparse.issparse(scaled.wide)
    assert np.unique(np.round((scaled.wide.data / features.data), 6)).size == 1
    assert scaled.wide.toarray().var(axis=0).sum() == pytest.approx(64)
    assert scaled.dense.shape == (300, 64)
    assert scaled.dense.var(axis=0).sum() == pytest.approx(64, rel=1e-4)


def test_one_list_for_everybody_carries_nothing():
    users = prepare(list_features(np.tile([[1, 2, 3]], (50, 1)), 10))

    scaled = users.scaled(users)

    assert not scaled.dense.any()


def test_noise_deals_the_same_rows_to_other_users():
    features = np.arange(20.0).reshape(10, 2)

    noise = noise_like(features, seed=0)

    assert (noise != features).any()
    np.testing.assert_array_equal(np.sort(noise, axis=0), features)


def test_features_that_are_not_numbers_are_refused_with_their_count():
    features = np.ones((4, 2))
    features[1] = np.inf

    with pytest.raises(NotFiniteError) as refused:
        prepare(features)

    assert refused.value.count == 2


@pytest.mark.parametrize("features", [np.ones(3), np.ones((3, 0))])
def test_features_without_columns_are_refused(features):
    with pytest.raises(ShapeError):
        prepare(features)


def test_whitened_directions_are_as_wide_as_each_other_and_round_off_is_none():
    rng = np.random.default_rng(0)
    loud = rng.normal(size=(500, 4))
    small = 1e-4 * rng.normal(size=(500, 1))
    features = np.hstack([loud, loud[:, :2] + small, 1e-9 * rng.normal(size=(500, 1))])

    found = whitened(features)

    assert found.shape == (500, 5)
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(5), atol=1e-3)
    assert abs(np.corrcoef(found[:, 4], small[:, 0])[0, 1]) > 0.99


def test_features_that_are_the_same_for_everybody_stay_so():
    assert not whitened(np.ones((20, 3))).any()


def test_features_that_are_not_finite_are_left_to_be_refused():
    features = np.ones((20, 3))
    features[4, 1] = np.nan

    with pytest.raises(NotFiniteError):
        prepare(whitened(features))


def test_columns_that_no_fitting_user_has_are_left_out_and_change_no_score():
    rng = np.random.default_rng(0)
    lists = list_features(rng.integers(0, 200, (120, 5)), 300)
    labels = np.arange(90) % 3

    def scores(known, scored):
        return LogisticRegression(C=0.1).fit(known, labels).decision_function(scored)

    known, scored = met(lists[:90], lists[90:])

    assert known.shape[1] == scored.shape[1] < 200
    np.testing.assert_allclose(scores(known, scored), scores(lists[:90], lists[90:]), atol=1e-6)
    dense = lists.toarray()
    assert met(dense[:90], dense[90:])[0].shape == (90, 300)


def test_attackers_learn_nothing_and_say_so_where_no_fitting_user_has_a_list():
    lists = np.full((120, 5), -1)
    lists[60:, 0] = np.arange(60) % 7
    features = prepare(list_features(lists, 50))
    known, scored = features.rows(np.arange(60)), features.rows(np.arange(60, 120))

    found = attack("logistic", Attempt(known, np.arange(60) % 2, scored, 2, seed=0), {"c": 1.0})

    np.testing.assert_allclose(found, 0, atol=1e-6)
