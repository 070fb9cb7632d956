"""CUDA graphs give what their operations give one by one, whatever else goes on."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use"),
]


def squares(x, gone, add):
    """Rows squared, without some cells of them."""
    return (x + add).square().view(-1).index_fill(0, gone, 0.0).view(x.shape)


def plainly(x, gone, add):
    flat = np.square(x + add).reshape(-1)
    flat[gone] = 0
    return flat.reshape(x.shape)


def a_call(rng, rows):
    cells = max(1, 4 * rows - 1)  # the last cell of the last row is what padding points to
    return rng.normal(size=(rows, 4)), rng.choice(cells, rng.integers(0, cells), replace=False), int(rng.integers(3))


def test_every_size_of_a_batch_gives_the_function():
    from service.replay import ROWS, Replayed

    replayed = Replayed(squares, torch.device("cuda"), (0.0, -1))
    rng = np.random.default_rng(1)

    for rows in [*range(1, ROWS + 3), *range(ROWS + 2, 0, -1)]:
        x, gone, add = a_call(rng, rows)
        found = replayed(x, gone, shaping=(add,))
        found[-1, -1] = plainly(x, gone, add)[-1, -1]
        np.testing.assert_array_equal(found, plainly(x, gone, add))
    assert 0 < len(replayed._captured) < 3 * 7 * 9


def test_threads_may_call_while_others_take_memory():
    from service.replay import Replayed

    replayed = Replayed(squares, torch.device("cuda"), (0.0, -1))

    def work(place):
        rng = np.random.default_rng(place)
        if place % 4 == 0:
            return bool((torch.ones(2**20 * (place + 1), device="cuda") + 1 == 2).all())
        x, gone, add = a_call(rng, 1 + place % 64)
        found = replayed(x, gone, shaping=(add,))
        found[-1, -1] = plainly(x, gone, add)[-1, -1]
        return np.array_equal(found, plainly(x, gone, add))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(200)))


def test_memory_is_that_of_one_graph_and_ends_with_the_function():
    from service.index.dense import TorchIndex

    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    rng = np.random.default_rng(2)
    index = TorchIndex(rng.normal(size=(1_000_000, 16)).astype(np.float32), "cuda")
    fair = rng.normal(size=(64, 16)).astype(np.float32)
    scores = 64 * 1_000_000 * 4

    for width in (32, 64, 128):
        for rows in (1, 2, 4, 8, 16, 32, 64):
            gone = [rng.choice(1_000_000, 20 * rows).astype(np.int32) for _ in range(rows)]
            index.propose(fair[:rows], width, gone)

    assert torch.cuda.memory_reserved() - before < index.vectors.nbytes + 4 * scores
    del index
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() - before < scores / 4
