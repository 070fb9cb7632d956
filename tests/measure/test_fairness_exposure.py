"""Which item groups get the attention of which users."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from measure.fairness import exposure
from measure.fairness.estimate import Bootstrap, Shuffles
from measure.fairness.groups import Groups
from measure.fairness.items import item_groups

SECOND = 1 / np.log2(3)
"""Weight of rank 2."""

some_exposure = arrays.arrays(
    np.float64, st.tuples(st.integers(2, 5), st.integers(1, 4)), elements=st.integers(0, 9).map(float)
)


def test_exposure_is_discounted_by_rank_and_shared_by_the_groups_of_an_item():
    groups = item_groups([["drama"], ["drama", "war"]])
    lists = np.array([[0, 1], [1, -1], [-1, -1]], np.int32)

    rows = exposure.rows_of(lists, groups)

    np.testing.assert_allclose(rows, [[1 + SECOND / 2, SECOND / 2], [0.5, 0.5], [0, 0]])
    np.testing.assert_allclose(rows.sum(axis=1), [1 + SECOND, 1, 0])  # the weights of the places filled


def test_total_variation_is_half_the_sum_of_differences_of_shares():
    shared = exposure.shares(np.array([[3.0, 1, 0], [1, 1, 2], [0, 0, 5]]))

    np.testing.assert_allclose(shared, [[0.75, 0.25, 0], [0.25, 0.25, 0.5], [0, 0, 1]])
    np.testing.assert_allclose(exposure.distances(shared), [[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]])
    assert exposure.total_variation(shared) == 1
    assert exposure.farthest(shared) == (0, 2)


def test_a_group_that_was_shown_nothing_is_compared_with_nobody():
    shared = exposure.shares(np.array([[0.0, 0], [1, 3], [3, 1]]))

    assert np.isnan(shared[0]).all()
    assert exposure.total_variation(shared) == 0.5
    assert exposure.farthest(shared) == (1, 2)
    assert np.isnan(exposure.total_variation(shared[:2]))


@settings(deadline=None)
@given(some_exposure, st.randoms())
def test_total_variation_is_a_distance_whatever_the_order_of_groups(totals, random):
    shared = exposure.shares(totals)
    order = random.sample(range(len(totals)), len(totals))

    apart = exposure.distances(shared)

    known = ~np.isnan(apart)
    assert (apart[known] >= 0).all()
    assert (apart[known] <= 1 + 1e-12).all()
    np.testing.assert_array_equal(apart, apart.T)
    np.testing.assert_allclose(
        exposure.total_variation(shared[order]), exposure.total_variation(shared), equal_nan=True
    )


@settings(deadline=None)
@given(some_exposure, st.floats(0.1, 50))
def test_shares_do_not_depend_on_how_much_was_shown(totals, more):
    np.testing.assert_allclose(exposure.shares(totals * more), exposure.shares(totals), atol=1e-12)


@pytest.fixture
def women_see_romance():
    """200 users: of the women .8 of the exposure is romance, of the men .3."""
    rng = np.random.default_rng(0)
    groups = Groups(("F", "M"), np.repeat([0, 1], 100))
    romance = np.where(groups.of == 0, 0.8, 0.3) + rng.uniform(-0.1, 0.1, 200)
    return np.stack([romance, 1 - romance], axis=1), groups


def test_the_gap_names_its_pair_and_has_an_interval_and_what_chance_gives(women_see_romance):
    rows, groups = women_see_romance

    found = exposure.gap(rows, groups, Bootstrap(200, seed=0), Shuffles(groups, seed=0))

    assert found.between == ("F", "M")
    assert found.estimate.value == pytest.approx(0.5, abs=0.02)
    assert found.estimate.ci95[0] < found.estimate.value < found.estimate.ci95[1]
    assert found.estimate.ci95[1] - found.estimate.ci95[0] < 0.1
    assert found.permutation95 < 0.2


def test_the_interval_of_the_largest_of_many_small_differences_holds_it():
    rng = np.random.default_rng(0)
    groups = Groups(tuple("abcdefghijklmno"), np.arange(450) % 15)
    rows = rng.dirichlet(np.full(18, 0.2), 450)

    found = exposure.gap(rows, groups, Bootstrap(450, seed=0), Shuffles(groups, seed=0))

    assert found.estimate.ci95[0] < found.estimate.value < found.estimate.ci95[1]
    assert found.estimate.value < found.permutation95  # there is no difference


def test_groups_that_see_the_same_are_two_groups_all_the_same():
    groups = Groups(("F", "M", "X"), np.arange(90) % 3)

    found = exposure.gap(np.ones((90, 2)), groups, Bootstrap(90, seed=0))

    assert (found.estimate.value, found.between) == (0, ("F", "M"))


def test_rows_added_up_from_a_log_weigh_users_by_what_they_were_shown(women_see_romance):
    rows, groups = women_see_romance
    ten_lists = rows.copy()
    ten_lists[0] *= 10

    shared = exposure.shares(np.stack([ten_lists[:100].sum(axis=0), ten_lists[100:].sum(axis=0)]))

    expected = (rows[:100].sum(axis=0) + 9 * rows[0]) / 109
    np.testing.assert_allclose(shared[0], expected)
    value = exposure.gap(ten_lists, groups, Bootstrap(200, seed=0)).estimate.value
    assert value == pytest.approx(exposure.total_variation(shared))


def test_there_is_no_gap_where_fewer_than_two_groups_were_shown_anything(women_see_romance):
    rows, groups = women_see_romance
    rows[groups.of == 1] = 0

    assert exposure.gap(rows, groups, Bootstrap(200, seed=0)) is None


def test_the_order_of_users_does_not_matter(women_see_romance):
    rows, groups = women_see_romance
    order = np.random.default_rng(1).permutation(200)

    one = exposure.gap(rows, groups, Bootstrap(200, seed=0))
    other = exposure.gap(rows[order], Groups(groups.names, groups.of[order]), Bootstrap(200, seed=0))

    assert one.estimate.value == pytest.approx(other.estimate.value)
    assert one.between == other.between
