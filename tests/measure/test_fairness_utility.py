"""Who finds what they would like: intersections, error gaps, activity."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from measure.errors import OutOfRangeError, TooFewUsersError
from measure.fairness.activity import by_activity
from measure.fairness.estimate import Bootstrap
from measure.fairness.groups import Groups
from measure.fairness.utility import errors, spread_of, two_sided, utility

some_utilities = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    elements=st.integers(0, 10).map(lambda tenths: tenths / 10),
)


def spreads(values):
    values = np.asarray(values, float)
    return dict(zip(("cv", "min", "ucv", "icv"), spread_of(values, ~np.isnan(values)), strict=True))


def test_utility_is_the_hit_rate_of_users_with_a_positive_in_the_item_group():
    groups = Groups(("F", "M"), np.array([0, 0, 0, 1, 1]))
    hits = np.array([1, 0, np.nan, 1, 1])
    positives = np.array([[1, 1], [1, 0], [0, 0], [0, 1], [0, 1.0]])

    found = two_sided(hits, positives, groups, at_least=1, bootstrap=Bootstrap(5, seed=0))

    np.testing.assert_array_equal(found.utility, [[0.5, 1], [np.nan, 1]])
    assert found.users.tolist() == [[2, 1], [0, 2]]


def test_the_spread_of_utility_by_hand():
    found = spreads([[0.2, 0.4], [0.6, 0.8]])

    assert found["cv"] == pytest.approx(np.sqrt(0.05) / 0.5)
    assert found["min"] == pytest.approx(0.2)  # one of four
    assert found["ucv"] == pytest.approx((0.2 / 0.4 + 0.2 / 0.6) / 2)  # by item group, over user groups
    assert found["icv"] == pytest.approx((0.1 / 0.3 + 0.1 / 0.7) / 2)  # by user group, over item groups


def test_the_worst_quarter_is_rounded_down_to_at_least_one():
    values = np.arange(1, 12) / 20  # eleven: the worst two

    assert spreads(values[None, :])["min"] == pytest.approx((0.05 + 0.1) / 2)
    assert spreads(values[None, :3])["min"] == pytest.approx(0.05)


def test_what_is_withheld_does_not_enter_the_spread():
    found = spreads([[0.2, np.nan, 0.4], [np.nan, 0.5, 0.4]])

    assert found["cv"] == pytest.approx(np.std([0.2, 0.4, 0.5, 0.4]) / 0.375)
    assert found["ucv"] == 0  # only the third item group has two user groups, and they fare alike
    assert found["icv"] == pytest.approx((0.1 / 0.3 + 0.05 / 0.45) / 2)


def test_a_spread_over_nothing_found_is_not_defined():
    nothing = spreads([[0.0, 0.0], [0.0, 0.0]])

    assert nothing.pop("min") == 0
    assert np.isnan(list(nothing.values())).all()
    assert np.isnan(list(spreads([[np.nan, np.nan]]).values())).all()


@settings(deadline=None)
@given(some_utilities, st.randoms())
def test_the_spread_does_not_depend_on_the_order_of_groups_and_is_zero_for_equal_ones(values, random):
    rows = random.sample(range(len(values)), len(values))

    found, again = spreads(values), spreads(values[rows])

    np.testing.assert_allclose(list(found.values()), list(again.values()), atol=1e-12)
    assert 0 <= found["min"] <= values.mean() + 1e-12
    for name in ("cv", "ucv", "icv"):
        assert np.isnan(found[name]) or found[name] >= 0
    assert np.nan_to_num(list(spreads(np.full_like(values, 0.3)).values())) == pytest.approx(
        [0, 0.3, 0, 0], abs=1e-9
    ) or (values.size < 2)


def test_the_two_sides_change_places_when_the_table_is_turned():
    values = np.random.default_rng(0).random((3, 5))

    found, turned = spreads(values), spreads(values.T)

    assert found["ucv"] == pytest.approx(turned["icv"])
    assert found["icv"] == pytest.approx(turned["ucv"])


def test_intersections_with_too_few_users_are_withheld_and_the_spread_has_intervals():
    rng = np.random.default_rng(0)
    groups = Groups(("F", "M"), np.arange(400) % 2)
    of = rng.choice(3, 400, p=[0.5, 0.45, 0.05])
    positives = np.eye(3)[of]
    hits = (rng.random(400) < np.array([[0.6, 0.5, 0.5], [0.3, 0.5, 0.5]])[groups.of, of]).astype(float)

    found = two_sided(hits, positives, groups, at_least=30, bootstrap=Bootstrap(400, seed=0))

    assert np.isnan(found.utility[:, 2]).all()
    assert (found.users[:, 2] < 30).all()
    for each in (found.cv, found.min, found.ucv, found.icv):
        assert each.ci95[0] <= each.value <= each.ci95[1]
    assert found.min.value == pytest.approx(found.utility[1, 0])
    there = ~np.isnan(found.utility)
    assert np.isnan(found.ci95[~there]).all()
    low, high = found.ci95[there].T
    assert ((low <= found.utility[there]) & (found.utility[there] <= high)).all()
    assert (high > low).all()


def test_utility_of_many_totals_at_once_is_that_of_each():
    sums = np.random.default_rng(0).integers(1, 9, (5, 2, 6)).astype(float)

    np.testing.assert_array_equal(utility(sums)[3], utility(sums[3]))


def test_error_gaps_by_hand():
    found = errors(0.3, 0.12, k=10)

    assert found.precision == pytest.approx(0.018)
    assert found.e == pytest.approx(np.sqrt(0.018))
    assert errors(0.2, 0.2, k=10) == (0, 0)
    assert errors(0.12, 0.3, k=10) == found
    with pytest.raises(OutOfRangeError):
        errors(0.1, 0.2, k=0)


def test_the_most_active_twentieth_is_set_apart():
    interactions = np.arange(100)

    found = by_activity(interactions)

    assert found.threshold == 95
    assert found.groups.sizes.tolist() == [5, 95]
    assert (found.groups.of[95:] == 0).all()
    assert by_activity(np.arange(30)).groups.sizes.tolist() == [2, 28]  # 1.5, rounded up


def test_users_with_the_same_number_of_interactions_are_on_the_same_side():
    found = by_activity(np.array([9, 9, 9, *range(17)]))

    assert by_activity(np.array([3, 9, 9, 9, *[1] * 36]), share=0.05).groups.sizes.tolist() == [3, 37]
    assert found.groups.sizes.tolist() == [1, 19]
    assert by_activity(np.full(10, 4)).groups.sizes.tolist() == [10, 0]


def test_the_user_oriented_gap_is_the_distance_of_the_means():
    groups = by_activity(np.array([50, 1, 1, 1, 1]), share=0.2).groups
    ndcg = np.array([0.9, 0.5, np.nan, 0.1, 0.3])

    assert Bootstrap(5, seed=0).difference(ndcg, groups).value == pytest.approx(0.6)


def test_activity_of_nobody_or_of_everybody_is_refused():
    with pytest.raises(TooFewUsersError):
        by_activity(np.array([], int))
    with pytest.raises(OutOfRangeError):
        by_activity(np.ones(3, int), share=1.0)
