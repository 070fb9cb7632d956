"""Intervals over users, and what chance alone gives."""

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, selection_rate

from measure.errors import OutOfRangeError, ShapeError, TooFewUsersError
from measure.fairness.estimate import Bootstrap, Estimate, Gap, Shuffles, totals
from measure.fairness.groups import Groups
from measure.fairness.totals import divided, ends, largest, spread


def halves(n):
    return Groups(("first", "second"), np.arange(n) % 2)


def largest_difference(sums):
    return spread(divided(sums[..., :1], sums[..., 1:]))[..., 0]


def counted(flags):
    return np.stack([flags, np.ones(len(flags))], axis=1)


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_says():
    values = np.random.default_rng(0).normal(3, 2, 800)

    found = Bootstrap(800, seed=1, resamples=2_000).mean(values)

    assert found.value == pytest.approx(values.mean())
    error = values.std() / np.sqrt(800)
    np.testing.assert_allclose(found.ci95, values.mean() + np.array([-1.96, 1.96]) * error, atol=error / 5)


def test_users_without_a_value_are_left_out():
    found = Bootstrap(4, seed=0).mean(np.array([1.0, np.nan, 3.0, np.nan]))

    assert found.value == 2
    assert found.ci95 == (1, 3)


def test_what_is_paired_is_resampled_together():
    values = np.random.default_rng(0).random(300)
    bootstrap = Bootstrap(300, seed=0)

    assert bootstrap.ratio(values * 0.8, values) == Estimate(pytest.approx(0.8), pytest.approx((0.8, 0.8)))


def test_a_ratio_to_nothing_is_not_known():
    found = Bootstrap(3, seed=0).ratio(np.ones(3), np.zeros(3))

    assert not found.known
    assert found.ci95 is None


def test_draws_that_leave_a_group_empty_are_left_out():
    groups = Groups(("lonely", "many"), np.array([0, 1, 1, 1]))
    flags = np.array([1.0, 0, 0, 0])

    found = Bootstrap(4, seed=0).estimate(largest_difference, counted(flags), groups)

    assert found == Estimate(1.0, (1.0, 1.0))


def test_the_difference_of_two_groups_may_reach_below_zero():
    values = np.tile([1.0, 1.1, 3.0, 2.8], 20)
    groups = halves(80)

    found = Bootstrap(80, seed=0).difference(values, groups)

    assert found.value == pytest.approx(0.05)
    assert found.ci95[0] < 0 < found.ci95[1]
    assert Bootstrap(80, seed=0).difference(-values, groups) == found
    with pytest.raises(ShapeError):
        Bootstrap(80, seed=0).difference(values, Groups(("a", "b", "c"), groups.of))


def test_users_in_no_group_count_nowhere():
    groups = Groups(("a", "b"), np.array([0, -1, 1]))

    assert totals(np.array([[1.0], [2.0], [4.0]]), groups).tolist() == [[1], [4]]
    assert totals(np.array([[1.0], [2.0], [4.0]])).tolist() == [[7]]


def test_intervals_of_the_largest_difference_agree_with_fairlearns():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 600)
    flags = (rng.random(600) < np.array([0.2, 0.35, 0.5])[labels]).astype(np.int64)

    ours = Bootstrap(600, seed=0).estimate(largest_difference, counted(flags), Groups(("a", "b", "c"), labels))
    frame = MetricFrame(
        metrics={"rate": selection_rate},
        y_true=flags,
        y_pred=flags,
        sensitive_features=labels,
        n_boot=200,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )

    assert ours.value == pytest.approx(frame.difference()["rate"])
    theirs = [each["rate"] for each in frame.difference_ci(method="between_groups")]
    np.testing.assert_allclose(ours.ci95, theirs, atol=0.015)


def test_the_same_seed_draws_the_same_users_whether_draws_are_kept_or_made_again(monkeypatch):
    monkeypatch.setattr("measure.fairness.draws.BLOCK_VALUES", 1_000)
    values, groups = np.random.default_rng(0).random(60), halves(60)
    columns = counted(values)

    def measured():
        bootstrap, shuffles = Bootstrap(60, seed=3), Shuffles(groups, seed=3)
        means = [bootstrap.mean(values) for _ in range(2)]
        return means, [shuffles.percentile95(largest_difference, columns) for _ in range(2)]

    kept = measured()
    monkeypatch.setattr("measure.fairness.draws._KEPT_BYTES", 0)

    assert kept == measured()
    assert kept[0][0] == kept[0][1]
    assert kept[1][0] == kept[1][1]
    assert Bootstrap(60, seed=4).mean(values) != kept[0][0]


def test_a_planted_difference_lies_above_chance_and_a_missing_one_does_not():
    rng = np.random.default_rng(0)
    groups = halves(400)
    planted = (rng.random(400) < np.where(groups.of == 0, 0.3, 0.6)).astype(float)
    even = np.tile([1.0, 1.0, 0.0, 0.0], 100)

    chance = Shuffles(groups, seed=0)

    assert largest_difference(totals(counted(planted), groups)) > 2 * chance.percentile95(
        largest_difference, counted(planted)
    )
    assert largest_difference(totals(counted(even), groups)) < chance.percentile95(largest_difference, counted(even))


def test_chance_is_what_all_dealings_of_the_groups_give():
    groups = Groups(("a", "b"), np.array([0, 0, 1, 1, -1]))
    columns = counted(np.array([1.0, 1, 0, 0, 7]))  # the fifth user is in no group and must not be dealt in

    drawn = []

    def statistic(sums):
        drawn.append(largest_difference(sums))
        return drawn[-1]

    assert Shuffles(groups, seed=0, permutations=3_000).percentile95(statistic, columns) == 1
    assert np.concatenate(drawn).mean() == pytest.approx(1 / 3, abs=0.03)  # 2 of the 6 dealings set them wholly apart


def test_dealing_inside_parts_keeps_what_the_parts_explain():
    parts = Groups(("left", "right"), np.repeat([0, 1], 50))
    groups = Groups(("a", "b"), np.concatenate([np.arange(50) < 40, np.arange(50) < 10]).astype(int))
    flags = parts.of.astype(float)  # only the part decides

    apart = largest_difference(totals(counted(flags), groups))

    assert apart == pytest.approx(0.6)
    assert Shuffles(groups, 0, within=parts).percentile95(largest_difference, counted(flags)) == pytest.approx(0.6)
    assert Shuffles(groups, 0).percentile95(largest_difference, counted(flags)) < 0.3


def test_nothing_to_draw_is_refused():
    with pytest.raises(TooFewUsersError):
        Bootstrap(0, seed=0)
    with pytest.raises(OutOfRangeError):
        Bootstrap(1, seed=0, resamples=0)
    with pytest.raises(OutOfRangeError):
        Shuffles(halves(4), seed=0, permutations=0)
    with pytest.raises(ShapeError):
        Shuffles(halves(4), seed=0, within=halves(6))
    with pytest.raises(ShapeError):
        Bootstrap(5, seed=0).mean(np.ones(4))
    with pytest.raises(ShapeError):
        totals(np.ones((4, 1)), halves(5))


def test_rows_of_a_card_leave_out_what_is_not_known():
    assert Estimate(1.0, None).as_row() == {"value": 1.0}
    assert Gap(Estimate(0.5, (0.4, 0.7)), ("a", "b")).as_row() == {
        "value": 0.5,
        "ci95": [0.4, 0.7],
        "between": ["a", "b"],
    }
    assert Gap(Estimate(0.5, None), ("a", "b"), "war", 0.1).as_row() == {
        "value": 0.5,
        "item_group": "war",
        "between": ["a", "b"],
        "permutation95": 0.1,
    }


def test_the_largest_and_the_spread_leave_nan_out_and_are_nan_where_nothing_else_is():
    values = np.array([[1.0, np.nan], [4.0, np.nan], [np.nan, np.nan]])

    np.testing.assert_array_equal(spread(values), [3, np.nan])
    np.testing.assert_array_equal(spread(values[1:]), [np.nan, np.nan])  # one value has nothing to differ from
    np.testing.assert_array_equal(largest(values, 1), [1, 4, np.nan])
    assert largest(values, 2) == 4
    assert ends(values[:, 0]) == (1, 0)
    assert ends(np.array([np.nan, 0.5, 0.5])) == (1, 2)
