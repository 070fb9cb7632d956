"""What is shown to whom, and who finds what they would like."""

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    equal_opportunity_difference,
    selection_rate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from measure.fairness import parity
from measure.fairness.estimate import Bootstrap, Shuffles
from measure.fairness.groups import Groups
from measure.fairness.items import item_groups
from measure.fairness.opportunity import opportunity


@pytest.fixture
def a_city():
    """300 users of three ages, with flags that differ by age in the second item group only."""
    rng = np.random.default_rng(0)
    groups = Groups(("young", "middle", "old"), rng.permutation(np.arange(300) % 3))
    second = rng.random(300) < np.array([0.7, 0.5, 0.2])[groups.of]
    flags = np.stack([rng.random(300) < 0.5, second, np.ones(300, bool)], axis=1).astype(np.float64)
    return flags, groups


def test_an_item_group_is_shown_where_one_of_its_items_is():
    groups = item_groups([["war"], ["drama", "war"], ["drama"]])

    shown = parity.shown(np.array([[0, 1], [2, -1], [-1, -1]], np.int32), groups)

    assert groups.names == ("drama", "war")
    assert shown.tolist() == [[1, 1], [1, 0], [0, 0]]


def test_demographic_parity_by_hand():
    groups = Groups(("F", "M"), np.array([0, 0, 0, 0, 1, 1]))
    flags = np.array([[1, 1], [1, 0], [1, 0], [0, 0], [1, 1], [0, 1.0]])

    found = parity.demographic(flags, ("drama", "war"), groups, Bootstrap(6, seed=0))

    np.testing.assert_allclose(parity.rates(flags, groups), [[0.75, 0.25], [0.5, 1]])
    assert (found.estimate.value, found.item_group, found.between) == (0.75, "war", ("M", "F"))


def test_demographic_parity_agrees_with_fairlearn_item_group_by_item_group(a_city):
    flags, groups = a_city
    theirs = [
        demographic_parity_difference(column, column, sensitive_features=groups.of) for column in flags.T.astype(int)
    ]

    found = parity.demographic(flags, ("a", "b", "c"), groups, Bootstrap(300, seed=0), Shuffles(groups, seed=0))

    assert found.estimate.value == pytest.approx(max(theirs))
    assert found.item_group == "b"
    assert found.between == ("young", "old")
    assert found.estimate.ci95[0] < found.estimate.value < found.estimate.ci95[1]
    assert found.permutation95 < found.estimate.ci95[0]


def test_the_interval_of_the_largest_of_many_small_differences_holds_it():
    rng = np.random.default_rng(0)
    groups = Groups(tuple("abcdefghijklmno"), np.arange(450) % 15)
    flags = (rng.random((450, 18)) < 0.5).astype(float)

    shown = parity.demographic(flags, [str(c) for c in range(18)], groups, Bootstrap(450, 0), Shuffles(groups, 0))
    found = opportunity(flags[:, 0], groups, Bootstrap(450, 0), Shuffles(groups, 0)).gap

    for gap in (shown, found):
        assert gap.estimate.ci95[0] < gap.estimate.value < gap.estimate.ci95[1]
        assert gap.estimate.value < gap.permutation95  # there is no difference


def test_the_interval_of_a_clear_difference_agrees_with_fairlearns():
    rng = np.random.default_rng(1)
    groups = Groups(("F", "M"), np.arange(500) % 2)
    flags = (rng.random(500) < np.array([0.3, 0.6])[groups.of]).astype(int)

    ours = parity.demographic(flags[:, None].astype(float), ("a",), groups, Bootstrap(500, seed=0)).estimate
    frame = MetricFrame(
        metrics=selection_rate,
        y_true=flags,
        y_pred=flags,
        sensitive_features=groups.of,
        n_boot=200,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )

    np.testing.assert_allclose(ours.ci95, frame.difference_ci(method="between_groups"), atol=0.02)


def test_groups_that_are_shown_the_same_are_two_groups_all_the_same():
    groups = Groups(("F", "M", "X"), np.arange(90) % 3)

    shown = parity.demographic(np.ones((90, 2)), ("a", "b"), groups, Bootstrap(90, 0))
    found = opportunity(np.ones(90), groups, Bootstrap(90, 0)).gap

    assert (shown.estimate.value, shown.between) == (found.estimate.value, found.between) == (0, ("F", "X"))


def test_there_is_no_gap_with_one_group_of_users():
    groups = Groups(("F", "M"), np.zeros(5, int))

    assert parity.demographic(np.ones((5, 1)), ("a",), groups, Bootstrap(5, seed=0)) is None
    assert parity.differential(np.zeros((5, 1), np.int32), 1, groups, at_least=1) is None


def test_opportunity_is_the_difference_of_hit_rates_over_users_that_have_a_positive():
    groups = Groups(("F", "M"), np.array([0, 0, 0, 1, 1, -1]))
    hits = np.array([1, 1, np.nan, 1, 0, 0])

    found = opportunity(hits, groups, Bootstrap(6, seed=0))

    assert found.users == {"F": 2, "M": 2}
    assert found.hits == {"F": 1.0, "M": 0.5}
    assert (found.gap.estimate.value, found.gap.between) == (0.5, ("F", "M"))


def test_opportunity_agrees_with_fairlearn(a_city):
    flags, groups = a_city
    hits = flags[:, 1]

    found = opportunity(hits, groups, Bootstrap(300, seed=0), Shuffles(groups, seed=0))

    theirs = equal_opportunity_difference(np.ones(300), hits, sensitive_features=groups.of)
    assert found.gap.estimate.value == pytest.approx(theirs)
    assert found.gap.between == ("young", "old")
    assert found.gap.estimate.ci95[0] < theirs < found.gap.estimate.ci95[1]
    assert found.gap.permutation95 < theirs


def test_opportunity_has_no_gap_where_one_group_alone_has_positives():
    groups = Groups(("F", "M"), np.array([0, 0, 1]))

    alone = opportunity(np.array([1, 0, np.nan]), groups, Bootstrap(3, seed=0))
    nobody = opportunity(np.full(3, np.nan), groups, Bootstrap(3, seed=0))

    assert (alone.hits, alone.gap) == ({"F": 0.5}, None)
    assert (nobody.hits, nobody.gap) == ({}, None)


def test_differential_fairness_by_hand():
    # 8 of 10 against 2 of 10, both outcomes alike; 10 of 10 against 5 of 10, worse in "not shown"
    counts, sizes = np.array([[8.0, 10], [2, 5]]), np.array([10.0, 10])

    np.testing.assert_allclose(parity.epsilon(counts, sizes), [np.log(8.5 / 2.5), np.log(5.5 / 0.5)])
    np.testing.assert_allclose(parity.epsilon(counts, sizes, alpha=1), [np.log(9 / 3), np.log(6 / 1)])


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=4), st.integers(20, 60))
def test_differential_fairness_is_zero_only_for_equal_chances_and_does_not_mind_the_order(counts, size):
    sizes = np.full(len(counts), float(size))

    found = parity.epsilon(np.array(counts, float)[:, None], sizes)[0]

    assert found == pytest.approx(parity.epsilon(np.array(counts[::-1], float)[:, None], sizes)[0])
    assert (found < 1e-12) == (len(set(counts)) == 1)


def test_the_item_that_groups_differ_most_on_is_named_among_those_shown_often_enough():
    # item 0 is shown to everybody; item 1 to 30 of 40 women and 10 of 40 men; item 2 to two women only
    groups = Groups(("F", "M"), np.repeat([0, 1], 40))
    lists = np.full((80, 2), -1, np.int32)
    lists[:, 0] = 0
    lists[:30, 1] = lists[40:50, 1] = 1
    lists[30:32, 1] = 2

    found = parity.differential(lists, 3, groups, at_least=30, shuffles=Shuffles(groups, seed=0))

    assert (found.item, found.between, found.items) == (1, ("F", "M"), 2)
    assert found.epsilon == pytest.approx(np.log(30.5 / 10.5))
    assert found.permutation95 < found.epsilon
    assert parity.differential(lists, 3, groups, at_least=2).item == 2
    assert parity.differential(lists, 3, groups, at_least=81) is None


def test_users_in_no_group_do_not_make_an_item_frequent():
    groups = Groups(("F", "M"), np.array([0, 1, -1, -1]))
    lists = np.zeros((4, 1), np.int32)

    assert parity.differential(lists, 1, groups, at_least=3) is None
    assert parity.differential(lists, 1, groups, at_least=2).epsilon == 0


def test_the_order_of_users_does_not_matter(a_city):
    flags, groups = a_city
    order = np.random.default_rng(1).permutation(300)
    shuffled = Groups(groups.names, groups.of[order])

    one = parity.demographic(flags, "abc", groups, Bootstrap(300, seed=0))
    other = parity.demographic(flags[order], "abc", shuffled, Bootstrap(300, seed=0))

    assert one.estimate.value == pytest.approx(other.estimate.value)
    assert (one.item_group, one.between) == (other.item_group, other.between)
