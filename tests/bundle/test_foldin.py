"""The fold-in against a case small enough for pen and paper."""

import numpy as np
import pytest

from bundle import FoldIn

ITEMS = np.array([[1, 0], [0, 1], [1, 1]], np.float32)


def a_fold_in(**constants):
    return FoldIn(gram=ITEMS.T @ ITEMS, **({"weight": 1.0, "ridge": 1.0, "scale": 1.0} | constants))


def test_a_fold_in_equals_the_solution_by_hand():
    # G = [2 1; 1 2], history {0}: G + vᵀv + 1 = [4 1; 1 3], right side 2·[1 0], inverse [3 -1; -1 4] / 11
    solved = a_fold_in().user_vectors([np.array([0], np.int32)], ITEMS)

    np.testing.assert_allclose(solved, [[6 / 11, -2 / 11]], rtol=1e-6)


def test_two_items_of_a_history_add_up():
    # history {0, 2}: vᵀv = [2 1; 1 1], weight 3: [2 1; 1 2] + [6 3; 3 3] + .5 = [8.5 4; 4 5.5], right side 4·[2 1]
    solved = a_fold_in(weight=3.0, ridge=0.5, scale=2.0).user_vectors([np.array([2, 0], np.int32)], ITEMS)

    determinant = 8.5 * 5.5 - 16
    by_hand = 2 * np.array([[5.5 * 8 - 4 * 4, -4 * 8 + 8.5 * 4]]) / determinant
    np.testing.assert_allclose(solved, by_hand, rtol=1e-6)


def test_an_empty_history_gives_zeros():
    solved = a_fold_in().user_vectors([np.array([], np.int32), np.array([1], np.int32)], ITEMS)

    assert solved[0].tolist() == [0, 0]
    assert solved[1].any()


def test_no_histories_give_no_vectors():
    assert a_fold_in().user_vectors([], ITEMS).shape == (0, 2)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_the_order_of_a_history_does_not_matter(order):
    solved = a_fold_in().user_vectors([np.array(order, np.int32)], ITEMS)

    np.testing.assert_allclose(solved, a_fold_in().user_vectors([np.array([1, 2, 0], np.int32)], ITEMS), rtol=1e-6)
    assert solved.dtype == np.float32


def test_histories_of_any_length_solve_the_normal_equations():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(90, 8)).astype(np.float32)
    gram = items.T @ items
    fold_in = FoldIn(gram, weight=2.0, ridge=3.0, scale=1.5)
    histories = [rng.choice(90, size, replace=False).astype(np.int32) for size in (5, 0, 1, 8, 60, 7, 9, 5)]

    solved = fold_in.user_vectors(histories, items)

    for history, u in zip(histories, solved, strict=True):
        v = items[history].astype(np.float64)
        a = gram.astype(np.float64) + 3 * np.eye(8) + 2 * v.T @ v
        np.testing.assert_allclose(u, 1.5 * np.linalg.solve(a, 3 * v.sum(0)), atol=1e-6)
    alone = np.concatenate([fold_in.user_vectors([history], items) for history in histories])
    np.testing.assert_array_equal(alone, solved)
