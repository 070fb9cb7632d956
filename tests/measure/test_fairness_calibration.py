"""Lists against a user's own taste, and against the catalogue."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from measure.errors import ListsError, OutOfRangeError, ShapeError, TooFewUsersError
from measure.fairness.calibration import system_kl, user_kl
from measure.fairness.catalogue import coverage, gini, item_exposure

amounts = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(0, 20).map(float)
)
exposures = st.lists(st.integers(0, 30), min_size=1, max_size=20).map(lambda each: np.array(each, float))


def test_a_list_with_the_proportions_of_the_history_is_calibrated():
    np.testing.assert_allclose(user_kl(np.array([[30.0, 10]]), np.array([[3.0, 1]])), [0], atol=1e-12)


def test_calibration_by_hand():
    wanted, given_ = np.array([[1.0, 3]]), np.array([[1.0, 1]])
    mixed = 0.99 * 0.5 + 0.01 * 0.25, 0.99 * 0.5 + 0.01 * 0.75
    by_hand = 0.25 * np.log(0.25 / mixed[0]) + 0.75 * np.log(0.75 / mixed[1])

    assert user_kl(wanted, given_)[0] == pytest.approx(by_hand)


def test_a_list_with_nothing_of_the_history_is_at_the_upper_end():
    assert user_kl(np.array([[1.0, 0]]), np.array([[0.0, 1]]))[0] == pytest.approx(np.log(100))


def test_users_without_history_or_without_a_list_are_left_out():
    found = user_kl(np.array([[0.0, 0], [1, 1]]), np.array([[1.0, 1], [0, 0]]))

    assert np.isnan(found).all()


@settings(deadline=None)
@given(amounts, st.floats(0.001, 0.5), st.randoms())
def test_calibration_stays_in_its_range_and_each_user_is_alone(wanted, alpha, random):
    order = random.sample(range(len(wanted)), len(wanted))
    given_ = wanted[::-1]

    found = user_kl(wanted, given_, alpha)

    known = ~np.isnan(found)
    assert ((found[known] >= 0) & (found[known] <= np.log(1 / alpha) + 1e-9)).all()
    np.testing.assert_allclose(user_kl(wanted[order], given_[order], alpha), found[order])
    np.testing.assert_allclose(user_kl(wanted * 3, given_ * 7, alpha), found, atol=1e-9)


def test_equal_exposure_of_all_item_groups_is_zero_and_one_alone_is_far():
    assert system_kl(np.array([5.0, 5, 5])) == pytest.approx(0, abs=1e-12)
    by_hand = 0.5 * np.log(0.5 / 0.995) + 0.5 * np.log(0.5 / 0.005)
    assert system_kl(np.array([8.0, 0])) == pytest.approx(by_hand)
    assert np.isnan(system_kl(np.zeros(3)))


def test_smoothing_that_is_none_is_refused():
    with pytest.raises(OutOfRangeError):
        user_kl(np.ones((1, 2)), np.ones((1, 2)), alpha=0)
    with pytest.raises(ShapeError):
        user_kl(np.ones((1, 2)), np.ones((1, 3)))


def test_exposure_of_items_is_added_up_over_lists():
    lists = np.array([[0, 1, 2], [0, 2, -1], [-1, -1, -1]], np.int32)

    np.testing.assert_allclose(item_exposure(lists, 5), [2, 1 / np.log2(3), 0.5 + 1 / np.log2(3), 0, 0])
    assert coverage(item_exposure(lists, 5)) == 3 / 5
    with pytest.raises(ListsError):
        item_exposure(lists, 2)


def test_gini_by_hand():
    assert gini(np.array([1.0, 1, 1, 1])) == 0
    assert gini(np.array([0.0, 0, 0, 8])) == pytest.approx(1 - 1 / 4)
    assert gini(np.array([3.0, 1])) == pytest.approx((-1 * 1 + 1 * 3) / (2 * 4))


def test_a_catalogue_that_nobody_is_shown_has_no_gini_and_one_without_items_is_refused():
    assert np.isnan(gini(np.zeros(4)))
    assert coverage(np.zeros(4)) == 0
    with pytest.raises(TooFewUsersError):
        coverage(np.array([]))


@settings(deadline=None)
@given(exposures, st.floats(0.5, 20))
def test_gini_is_half_the_mean_difference_of_pairs_over_the_mean_whatever_the_scale(exposure, more):
    found = gini(exposure)

    if exposure.sum() == 0:
        assert np.isnan(found)
        return
    pairs = np.abs(exposure[:, None] - exposure).mean() / (2 * exposure.mean())
    assert found == pytest.approx(pairs, abs=1e-12)
    assert 0 <= found <= 1 - 1 / len(exposure) + 1e-12
    assert gini(exposure[::-1] * more) == pytest.approx(found)
