"""K of each user's candidates under sums over all users: the best of all that there are."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from balance import selection
from balance.errors import InfeasibleError
from balance.prices import Sum, prices
from balance.selection import select, value_of


def all_choices(relevance, k):
    """Every choice of k of each row, as (n, C) masks."""
    rows = []
    for row in relevance:
        places = np.flatnonzero(np.isfinite(row))
        rows.append([np.isin(np.arange(len(row)), each) for each in combinations(places, min(k, len(places)))])
    return (np.array(each) for each in product(*rows))


def best_of_all(relevance, sums, k):
    """The largest value of equation S1, -inf where nothing keeps the sums that must hold."""
    best = -np.inf
    for chosen in all_choices(relevance, k):
        kept = all(
            np.isfinite(each.price) or abs(each.weights[chosen].sum() - each.wanted) <= each.tolerance + 1e-9
            for each in sums
        )
        best = max(best, value_of(relevance, sums, chosen)) if kept else best
    return best


def a_problem(seed, users=4, width=5, sums=1, price=np.inf, tolerance=0.3):
    rng = np.random.default_rng(seed)
    relevance = rng.normal(size=(users, width))
    relevance[0, -2:] = -np.inf
    weights = [np.where(np.isfinite(relevance), rng.normal(size=relevance.shape), 0.0) for _ in range(sums)]
    return relevance, [Sum(each, rng.normal(), price, tolerance) for each in weights]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("sums", [1, 2, 3])
@pytest.mark.parametrize("price", [0.3, 2.0])
def test_with_prices_the_choice_is_the_best_of_all(seed, sums, price):
    relevance, wanted = a_problem(seed, sums=sums, price=price, tolerance=0.1)

    found = select(relevance, wanted, 2, gap=0)

    assert found.value == pytest.approx(best_of_all(relevance, wanted, 2), abs=1e-7)
    assert found.bound >= found.value - 1e-9
    assert found.chosen.sum(axis=1).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("seed", range(20))
def test_a_sum_that_must_hold_is_held_by_the_best_choice_that_does(seed):
    relevance, wanted = a_problem(seed)
    best = best_of_all(relevance, wanted, 3)

    if best == -np.inf:
        with pytest.raises(InfeasibleError):
            select(relevance, wanted, 3, gap=0)
    else:
        found = select(relevance, wanted, 3, gap=0)
        assert found.value == pytest.approx(best, abs=1e-6)
        assert abs(wanted[0].weights[found.chosen].sum() - wanted[0].wanted) <= wanted[0].tolerance + 1e-5


def test_some_of_these_problems_can_be_solved_and_some_cannot():
    can = [best_of_all(*a_problem(seed), 3) > -np.inf for seed in range(20)]

    assert 3 < sum(can) < 20


def test_without_sums_everybody_gets_the_best():
    relevance, _ = a_problem(1)

    found = select(relevance, (), 2)

    assert found.value == found.bound == best_of_all(relevance, (), 2)


def test_no_choice_is_worth_more_than_prices_say():
    relevance, wanted = a_problem(3, sums=2, price=1.0)

    bound = prices(relevance, wanted, 2).bound

    assert bound >= best_of_all(relevance, wanted, 2) - 1e-12
    assert bound < best_of_all(relevance, [], 2)


def test_a_sum_out_of_reach_is_refused_with_what_can_be_reached():
    relevance = np.zeros((2, 3))
    weights = np.arange(6.0).reshape(2, 3)

    with pytest.raises(InfeasibleError, match=r"40 ± 0.5 is asked for; lists reach 8 to 12"):
        select(relevance, [Sum(weights, 40.0, np.inf, 0.5)], 2)


def test_many_users_are_solved_almost_to_the_bound_with_few_candidates_left_open():
    rng = np.random.default_rng(2)
    relevance = -np.sort(-rng.normal(size=(1500, 30)), axis=1) / 1500
    side = np.where(np.arange(1500) % 3 == 0, 1 / 500, -1 / 1000)[:, None]
    weights = side * (rng.random((1500, 30)) < 0.2)
    before = abs(weights[:, :5].sum())

    found = select(relevance, [Sum(weights, 0.3, np.inf, 0.001)], 5)

    assert before < 0.2
    assert weights[found.chosen].sum() == pytest.approx(0.299, abs=0.0011)
    assert found.chosen.sum(axis=1).tolist() == [5] * 1500
    assert found.bound - found.value <= 1e-5 * found.value


def test_what_was_found_is_taken_where_the_solver_finds_nothing_in_time_among_more(monkeypatch):
    rng = np.random.default_rng(2)
    relevance = -np.sort(-rng.normal(size=(300, 30)), axis=1) / 300
    weights = np.where(np.arange(300) % 3 == 0, 1 / 100, -1 / 200)[:, None] * (rng.random((300, 30)) < 0.2)
    solve, opened = selection._program, []

    def in_time(relevance, sums, start, some, *limits):
        opened.append(some.sum())
        assert len(opened) < 5, "it asks for ever"
        made = solve(relevance, sums, start, some, *limits)
        return made._replace(value=made.value - 0.003) if len(opened) == 1 else None

    monkeypatch.setattr(selection, "_program", in_time)

    found = select(relevance, [Sum(weights, 0.3, np.inf, 0.001)], 5)

    assert opened[0] < opened[1] < relevance.size
    assert weights[found.chosen].sum() == pytest.approx(0.299, abs=0.0011)
    assert found.bound > found.value
