"""Which items a user has touched, looked up without a table of users × items."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.negatives import NegativeSampler

CPU = torch.device("cpu")
USERS, ITEMS = 50, 70


def a_history(seed, most):
    """Rows in no order, some empty, and the same as a table of flags."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice(ITEMS, rng.integers(most + 1), replace=False).astype(np.int32) for _ in range(USERS)]
    flags = np.zeros((USERS, ITEMS), bool)
    for user, row in enumerate(rows):
        flags[user, row] = True
    return np.concatenate([[0], np.cumsum([len(row) for row in rows])]), np.concatenate(rows), flags


@pytest.mark.parametrize("most", [0, 1, 2, 7, 8, 33, ITEMS])
def test_touched_is_what_stands_in_the_users_row(most):
    indptr, indices, flags = a_history(most, most)
    before = indices.copy()

    sampler = NegativeSampler(indptr, indices, ITEMS, CPU)

    users, items = torch.arange(USERS)[:, None], torch.arange(ITEMS)
    assert np.array_equal(sampler.touched(users, items).numpy(), flags)
    assert np.array_equal(sampler.touched(users.expand(-1, ITEMS)[3], items).numpy(), flags[3])
    assert np.array_equal(indices, before)


def test_a_negative_is_no_touched_item_where_there_is_another():
    indptr, indices, flags = a_history(1, ITEMS - 10)

    drawn = NegativeSampler(indptr, indices, ITEMS, CPU).draw(
        torch.arange(USERS)[:, None].expand(-1, 200), torch.Generator().manual_seed(1)
    )

    assert not np.take_along_axis(flags, drawn.numpy(), axis=1).any()
    assert all(set(row.tolist()) == set(np.flatnonzero(~flags[user])) for user, row in enumerate(drawn) if user < 3)
