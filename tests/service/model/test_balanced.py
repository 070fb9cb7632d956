"""A balanced list is a function of its own task, and needs no more of the ranking than its pool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.balance import Balance, BalancePolicy
from service.errors import StartError
from service.model.balanced import Targets, Towards, item_shares
from service.model.inference import BundleUser, ByPopularity, SimilarTo, Task, compute

NOTHING = np.zeros(0, np.int32)


def tasks_of(model, seed, count):
    rng = np.random.default_rng(seed)
    targets = Targets(model.item_shares, BalancePolicy())
    for _ in range(count):
        k = int(rng.choice([1, 5, 10]))
        name = rng.choice(["uniform", "catalogue", "history"])
        dropped = rng.permutation(len(model.bundle.items.ids))[: rng.choice([0, 3, 70])].astype(np.int32)
        mask = (bool(rng.random() < 0.5), False)
        basis = BundleUser(int(rng.integers(6)), mask) if rng.random() < 0.8 else ByPopularity()
        balance = Balance(str(name), float(rng.choice([0.2, 0.5, 1.0])), "request")
        towards = targets.towards(balance, [rng.permutation(60)[:5]], k * int(rng.integers(3)), k)
        yield Task(model, basis, dropped, k + 1, None, towards if rng.random() < 0.8 else None)


def shown(ranking):
    return ranking.rows.tolist(), ranking.scores.tolist(), ranking.divergence


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pool", [12, 200])
def test_a_balanced_list_is_the_same_alone_and_in_any_company(a_model, monkeypatch, pool, seed):
    monkeypatch.setattr("service.model.balanced.POOL", pool)
    model, other = a_model(items=80, seed=seed), a_model(items=75, version="2", seed=seed + 9)
    tasks = [*tasks_of(model, seed, 20), *tasks_of(other, seed + 1, 8), Task(model, SimilarTo(3), NOTHING, 5, None)]

    together = compute(tasks)

    assert [shown(one) for one in together] == [shown(compute([task])[0]) for task in tasks]


def test_behind_the_places_that_are_chosen_a_pool_is_in_the_order_of_the_ranking(a_model, monkeypatch):
    model = a_model(items=80)
    targets = Targets(model.item_shares, BalancePolicy())
    ask = Task(model, BundleUser(0, (False, False)), NOTHING, 80, None)
    ranking = compute([ask])[0].rows.tolist()

    def first(k):
        towards = targets.towards(Balance("uniform", 1.0, "request"), (), 0, k)
        return compute([ask._replace(k=k + 1, towards=towards)])[0].rows[:k].tolist()

    whole = first(70)
    monkeypatch.setattr("service.model.balanced.CHOSEN", 6)
    some = first(70)

    assert some[:6] == whole[:6]
    assert some[6:] == [row for row in ranking if row not in some[:6]][:64] != whole[6:]
    assert first(4) == whole[:4]


def test_a_list_ends_where_nothing_is_left(a_model):
    model = a_model(items=80)
    targets = Targets(model.item_shares, BalancePolicy())

    for left in (0, 1, 4, 5, 6, 80):
        towards = targets.towards(Balance("uniform", 1.0, "request"), (), 0, 5)
        dropped = np.arange(left, 80, dtype=np.int32)
        (page,) = compute([Task(model, BundleUser(0, (False, False)), dropped, 6, None, towards)])
        assert len(set(page.rows.tolist())) == len(page.rows) == len(page.scores) == min(left, 6)
        assert (page.divergence is None) == (left == 0)


@pytest.mark.parametrize(
    ("page", "weight", "pool"),
    [
        (1, 1, 200),
        (7, 1, 203),
        (10, 1, 200),
        (10, 0.75, 150),
        (10, 0.5, 100),
        (10, 0, 100),
        (51, 1, 204),
        (100, 1, 400),
        (150, 0, 450),
        (500, 0, 500),
    ],
)
def test_no_page_lies_in_two_pools(page, weight, pool):
    towards = Towards(np.ones(1), weight, None, 0, page)

    assert towards.pool == pool
    for number in range(12):
        at = replace(towards, shown=number * page)
        assert at.first <= at.shown < at.shown + page <= at.first + pool < at.depth


def test_the_operators_target_must_fit_the_bundle():
    shares = item_shares([("drama",), ("war",)])

    with pytest.raises(StartError, match=r"EVENHAND_BALANCE_TARGET: no item is in 'opera'"):
        Targets(shares, BalancePolicy(shares={"opera": 1.0}))
