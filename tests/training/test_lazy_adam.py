"""Updates by the row: a step on the rows that it touches and on the others, beside dense Adam."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import embedding

from training.base.lazy_adam import LazyAdam

USERS, ITEMS, D, RATE = 40, 30, 8, 1e-2


def rng(seed):
    return torch.Generator().manual_seed(seed)


def tables(seed=1):
    generator = rng(seed)
    return {"users": torch.randn(USERS, D, generator=generator), "items": torch.randn(ITEMS, D, generator=generator)}


def a_batch(seed, size=4):
    generator = rng(seed)
    return torch.randint(USERS, (size,), generator=generator), torch.randint(ITEMS, (2, size), generator=generator)


def bpr(of, users, pairs):
    positive, negative = (embedding(rows, of["items"]) for rows in pairs)
    margin = (embedding(users, of["users"]) * (positive - negative)).sum(-1)
    return torch.nn.functional.softplus(-margin).mean()


def lazy_step(adam, users, pairs):
    user_rows, own = torch.unique(users, return_inverse=True)
    item_rows, places = torch.unique(pairs, return_inverse=True)
    bpr(adam.take({"users": user_rows, "items": item_rows}), own, places).backward()
    adam.step()


def dense_step(adam, of, users, pairs):
    adam.zero_grad()
    bpr(of, users, pairs).backward()
    adam.step()


@pytest.fixture
def dense():
    """The same tables with torch's Adam over all of them."""
    of = {name: table.requires_grad_() for name, table in tables().items()}
    return of, torch.optim.Adam(of.values(), lr=RATE)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_is_adams_formula_on_the_rows_it_touches_and_leaves_the_others_bit_for_bit(weight_decay):
    """Users 3 and 5 twice each: what their rows bring is added up once."""
    of, before = tables(), tables()
    users, pairs = torch.tensor([3, 5, 3, 5]), torch.tensor([[1, 2, 2, 7], [9, 9, 1, 4]])
    wanted = {name: table.clone().requires_grad_() for name, table in before.items()}
    bpr(wanted, users, pairs).backward()

    lazy_step(LazyAdam(of, RATE, weight_decay), users, pairs)

    for name, touched in (("users", [3, 5]), ("items", [1, 2, 4, 7, 9])):
        w = before[name][touched].double()
        g = wanted[name].grad[touched].double() + weight_decay * w
        m, v = 0.1 * g, 0.001 * g**2
        expected = w - RATE * (m / (1 - 0.9)) / ((v / (1 - 0.999)).sqrt() + 1e-8)
        assert torch.allclose(of[name][touched].double(), expected, atol=1e-6)
        others = torch.ones(len(w := before[name]), dtype=torch.bool)
        others[touched] = False
        assert torch.equal(of[name][others], w[others])


def test_rows_that_sit_steps_out_end_where_dense_adam_has_them(dense):
    """Steps of four rows: most rows sit most of them out."""
    of, adam = dense
    mine = tables()
    lazy = LazyAdam(mine, RATE, 0.0)
    for seed in range(300):
        batch = a_batch(seed)
        dense_step(adam, of, *batch)
        lazy_step(lazy, *batch)
    lazy.settle()

    for name, start in tables().items():
        moved = of[name].detach() - start
        assert (mine[name] - of[name].detach()).norm() < 0.01 * moved.norm()
        assert moved.norm() > 1


def test_a_row_is_caught_up_when_a_step_takes_it(dense):
    of, adam = dense
    lazy = LazyAdam(tables(), RATE, 0.0)
    for users, items in (([7], [[1], [2]]), ([8], [[3], [4]]), ([9], [[3], [4]])):
        batch = torch.tensor(users), torch.tensor(items)
        dense_step(adam, of, *batch)
        lazy_step(lazy, *batch)

    taken = lazy.take({"users": torch.tensor([7]), "items": torch.tensor([1, 2])})

    assert torch.allclose(taken["users"], of["users"][[7]], atol=1e-4)
    assert torch.allclose(taken["items"], of["items"][[1, 2]], atol=1e-4)
    assert not torch.allclose(taken["users"], tables()["users"][[7]], atol=1e-2)


def test_settling_twice_or_early_is_the_same(monkeypatch):
    """Also where more steps are taken than the missed ones are kept for."""
    found = []
    for capacity in (65_536, 10):
        monkeypatch.setattr("training.base.lazy_adam.CAPACITY", capacity)
        of = tables()
        lazy = LazyAdam(of, RATE, 0.0)
        for seed in range(55):
            lazy_step(lazy, *a_batch(seed))
        lazy.settle()
        once = {name: table.clone() for name, table in of.items()}
        lazy.settle()
        assert all(torch.equal(once[name], table) for name, table in of.items())
        found.append(once)

    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-3) for name in found[0])


def test_moments_come_back_and_without_them_it_begins_anew():
    def after(adam, of, steps):
        for seed in steps:
            lazy_step(adam, *a_batch(seed))
        adam.settle()
        return {name: table.clone() for name, table in of.items()}

    of = tables()
    lazy = LazyAdam(of, RATE, 0.0)
    halfway = after(lazy, of, range(20))
    saved = {
        "state": {
            place: {k: v.clone() for k, v in slots.items()} for place, slots in lazy.state_dict()["state"].items()
        }
    }
    end = after(lazy, of, range(20, 40))
    twin = {name: table.clone() for name, table in halfway.items()}
    resumed = LazyAdam(twin, RATE, 0.0)
    resumed.load_state_dict(saved)

    assert all(torch.equal(end[name], table) for name, table in after(resumed, twin, range(20, 40)).items())

    resumed.load_state_dict({"state": {}})
    again = {name: twin[name].copy_(table) for name, table in tables().items()}
    assert all(torch.equal(halfway[name], table) for name, table in after(resumed, again, range(20)).items())
