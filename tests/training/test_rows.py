"""What a step of a fair model learns from: each row once, only own positives."""

import numpy as np
import pytest
import torch

from training.base.contract import Contexts
from training.fair.rows import ContextRows, draw_masks


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def rows():
    """User 0 has contexts 0 and 3, user 1 has context 1 (no positives), user 2 has context 2."""
    contexts = Contexts(
        vectors=np.zeros((4, 2), np.float32),
        users=np.array([0, 1, 2, 0]),
        indptr=np.array([0, 2, 2, 3, 6]),
        indices=np.array([10, 11, 30, 12, 13, 14], np.int32),
    )
    return ContextRows(contexts, torch.device("cpu"))


OWN = {0: {10, 11}, 2: {30}, 3: {12, 13, 14}}


def test_reproduce_visits_every_positive_of_every_context_once(rows):
    found = [
        (int(context), int(item))
        for contexts, items in rows.epoch("reproduce", 4, 1, rng())
        for context, item in zip(contexts, items[:, 0], strict=True)
    ]

    assert sorted(found) == [(0, 10), (0, 11), (2, 30), (3, 12), (3, 13), (3, 14)]


def test_reproduce_with_several_pairs_a_row_draws_each_rows_own_positives(rows):
    seen = set()
    for seed in range(40):
        for contexts, items in rows.epoch("reproduce", 4, 3, rng(seed)):
            assert items.shape == (2, 3)  # six positives
            assert all(set(row.tolist()) <= OWN[int(context)] for context, row in zip(contexts, items, strict=True))
            seen |= set(contexts.tolist())
    assert seen == {0, 2, 3}


def test_strict_visits_every_user_with_a_positive_once_in_one_of_their_contexts(rows):
    seen = set()
    for seed in range(20):
        ((contexts, items),) = rows.epoch("strict", 4, 5, rng(seed))

        assert sorted(rows.users[contexts].tolist()) == [0, 2]
        assert items.shape == (2, 5)
        assert all(set(row.tolist()) <= OWN[int(context)] for context, row in zip(contexts, items, strict=True))
        seen |= set(contexts.tolist())
    assert seen == {0, 2, 3}


@pytest.mark.parametrize(("mode", "expected"), [("reproduce", [[0, 2, 3]]), ("strict", [[0, 2], [2, 3]])])
def test_contexts_without_positives_are_in_no_row(rows, mode, expected):
    for seed in range(20):
        assert sorted(torch.cat(list(rows.contexts(mode, 2, rng(seed)))).tolist()) in expected


def test_rows_come_in_batches_and_in_another_order_each_epoch(rows):
    generator = rng()

    first, second = (list(rows.epoch("reproduce", 4, 1, generator)) for _ in range(2))

    assert [len(contexts) for contexts, _ in first] == [4, 2]
    assert not torch.cat([items for _, items in first]).equal(torch.cat([items for _, items in second]))


def test_masks_are_one_for_the_batch_in_reproduce_and_uniform_by_row_in_strict():
    together, apart = draw_masks("reproduce", 500, 2, rng()), draw_masks("strict", 4000, 2, rng())

    assert together.shape == (500, 2)
    assert bool((together == together[0]).all())
    counts = torch.bincount(apart[:, 0] * 2 + apart[:, 1].long(), minlength=4)
    assert (counts - 1000).abs().max() < 120
