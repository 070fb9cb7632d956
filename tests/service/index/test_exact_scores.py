"""Exact scores have the same bits whatever is scored beside them."""

from __future__ import annotations

import numpy as np
import pytest

from service.index.order import BLOCK, LONG, ExactScores


@pytest.mark.parametrize("lengths", [(3, 1, 2), (LONG * 4, 0, 5), (2 * BLOCK + 7, 40, 1)])
def test_a_score_is_the_same_alone_in_a_block_and_in_a_long_row(lengths):
    rng = np.random.default_rng(3)
    scores = ExactScores(rng.normal(size=(1200, 64)).astype(np.float32))
    u = rng.normal(size=(3, 64)).astype(np.float32)
    rows = np.repeat(np.arange(3), lengths)
    items = np.concatenate([np.sort(rng.permutation(1200)[:length]) for length in lengths])

    together = scores.of(u, items, rows)

    alone = [scores.of(u[row], np.array([item]))[0] for row, item in zip(rows, items, strict=True)]
    assert together.tolist() == alone
