import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from measure.auc import (
    as_columns,
    excess,
    fold,
    macro_auc,
    midranks,
    permuted_macro_auc,
    weighted_macro_auc,
)
from measure.resampling import bootstrap_interval, permutation_null


def column(*scores):
    return np.array(scores, dtype=float)[:, None]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((0.1, 0.2, 0.3, 0.4), 1.0),
        ((0.4, 0.3, 0.2, 0.1), 0.0),
        ((0.1, 0.3, 0.2, 0.4), 0.75),  # of four pairs one is wrong
        ((0.1, 0.2, 0.2, 0.4), 0.875),  # and here one is tied
        ((1.0, 1.0, 1.0, 1.0), 0.5),
    ],
)
def test_auc_is_the_share_of_ordered_pairs_with_ties_by_half(scores, expected):
    assert macro_auc(column(*scores), np.array([0, 0, 1, 1])) == expected


def test_auc_of_many_classes_is_the_plain_mean_of_one_against_the_rest():
    labels = np.array([0, 0, 0, 0, 1, 2])
    scores = np.array([[4, 0, 0], [3, 0, 0], [2, 1, 1], [0, 0, 2], [1, 0, 1], [1, 0, 3]], dtype=float)

    # class 0: of 8 pairs 6 are right; class 1: of 5 pairs 4 tied and 1 wrong; class 2: all right
    assert macro_auc(scores, labels) == pytest.approx((6 / 8 + 2 / 5 + 1) / 3)


def test_a_class_that_does_not_occur_is_left_out_of_the_mean():
    scores = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], dtype=float)

    assert macro_auc(scores, np.array([0, 1, 1])) == 1.0
    assert np.isnan(macro_auc(column(1, 2), np.array([1, 1])))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), min_size=4, max_size=30))
def test_auc_agrees_with_the_reference(pairs):
    scores, labels = (np.array(values) for values in zip(*pairs, strict=True))
    if len(set(labels.tolist())) == 2:
        assert macro_auc(scores[:, None].astype(float), labels) == pytest.approx(roc_auc_score(labels, scores))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 3)), min_size=6, max_size=25))
def test_a_weight_means_so_many_copies_of_the_user(users):
    raw, labels, weights = (np.array(values) for values in zip(*users, strict=True))
    scores = np.stack([raw, -raw, raw % 3], axis=1).astype(float)

    weighted = weighted_macro_auc(scores, labels, weights[None, :].astype(float))[0]

    copies = np.repeat(np.arange(len(raw)), weights)
    if len(copies):
        np.testing.assert_allclose(weighted, macro_auc(scores[copies], labels[copies]))


def test_permuted_auc_is_the_auc_of_each_permutation():
    rng = np.random.default_rng(0)
    sets = rng.integers(0, 9, size=(2, 40, 3)).astype(float)
    shuffled = rng.permuted(np.tile(np.arange(40) % 3, (5, 1)), axis=1)

    aucs = permuted_macro_auc(np.stack([midranks(scores) for scores in sets]), shuffled)

    np.testing.assert_allclose(aucs, [[macro_auc(scores, labels) for scores in sets] for labels in shuffled])


def test_an_attacker_that_is_reliably_wrong_leaks_as_much_as_one_that_is_right():
    assert fold(0.41) == pytest.approx(0.59) == fold(0.59)
    assert excess(0.55, 0.75) == pytest.approx(0.2)
    assert np.isnan(excess(0.6, 0.5))


def test_scores_come_in_one_column_for_two_classes_and_one_per_class_beyond():
    margins = np.array([1.0, -2.0])

    np.testing.assert_array_equal(as_columns(margins, [0, 1], 2), [[1.0], [-2.0]])
    np.testing.assert_array_equal(as_columns(margins, [0, 2], 3), [[-1.0, 0.0, 1.0], [2.0, 0.0, -2.0]])


def test_an_interval_holds_the_auc_and_shrinks_with_more_users():
    def interval(users):
        labels = np.arange(users) % 2
        scores = np.random.default_rng(0).normal(size=(users, 1)) + labels[:, None]
        return macro_auc(scores, labels), bootstrap_interval(scores, labels, resamples=300, seed=1)

    few_auc, few = interval(100)
    many_auc, many = interval(2_000)

    assert few[0] < few_auc < few[1]
    assert many[0] < many_auc < many[1]
    assert many[1] - many[0] < (few[1] - few[0]) / 3
    # Hanley and McNeil's standard error at AUC .76, 1,000 of each, is .0106
    assert (many[1] - many[0]) / (2 * 1.96) == pytest.approx(0.0106, abs=0.002)


def test_an_interval_keeps_the_side_of_the_whole_sample():
    labels = np.arange(200) % 2
    wrong_way = -np.random.default_rng(0).normal(size=(200, 1)) - labels[:, None]
    chance = np.random.default_rng(1).normal(size=(200, 1))

    assert bootstrap_interval(wrong_way, labels, 200, seed=0)[0] > 0.6
    assert bootstrap_interval(chance, labels, 200, seed=0)[0] < 0.5


def test_the_null_of_several_attackers_lies_above_the_null_of_one():
    labels = (np.arange(400) % 2).astype(np.int64)
    sets = [np.random.default_rng(seed).normal(size=(400, 1)) for seed in range(5)]

    one, five = (permutation_null([(each, 1.0) for each in chosen], labels, 500, seed=0) for chosen in (sets[:1], sets))

    # one AUC at chance has sd √((n+1) / 12pq) = .0289, so its folded 95 % point is .5 + 1.96 × .0289
    assert np.percentile(one, 95) == pytest.approx(0.5567, abs=0.006)
    assert np.percentile(five, 95) > np.percentile(one, 95) + 0.005
    assert (np.diff(five) >= 0).all()
    assert five.min() >= 0.5
