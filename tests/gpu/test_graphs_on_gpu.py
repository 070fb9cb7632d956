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


class Squares:
    """A graph, and what it computes from."""

    def __init__(self):
        from service.cuda_graphs import Graphs, give_back_with

        give_back_with(self)
        self.x = torch.zeros(64, device="cuda")
        self.graphs = Graphs(self.x.device)
        x = self.x
        self.graphs.capture("squares", lambda: (x * x + 1).sort(descending=True).values)

    def of(self, values):
        return self.graphs.run("squares", lambda: self.x.copy_(values), 64)


def test_a_graph_computes_from_what_is_there_when_it_is_called():
    squares = Squares()

    for seed in range(5):
        values = torch.randn(64, generator=torch.Generator().manual_seed(seed))
        np.testing.assert_array_equal(squares.of(values), (values * values + 1).sort(descending=True).values)


def test_graphs_are_captured_and_end_in_several_threads_while_others_run():
    squares = Squares()

    def work(place):
        if place % 3 == 1:
            return bool((torch.ones(2**20 * (place + 1), device="cuda") + 1 == 2).all())
        found = (Squares() if place % 3 else squares).of(torch.full((64,), float(place)))
        return bool((found == place * place + 1).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(120)))


def test_memory_of_an_index_is_what_it_says_and_ends_with_it():
    from service.index.dense import WIDTHS, TorchIndex

    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    rng = np.random.default_rng(2)
    index = TorchIndex(rng.normal(size=(1_000_000, 16)).astype(np.float32), "cuda")
    fair = rng.normal(size=(64, 16)).astype(np.float32)
    for width in WIDTHS:
        for rows in range(1, 65):
            index.propose(fair[:rows], width, [rng.choice(1_000_000, 20).astype(np.int32) for _ in range(rows)])

    held = index.vectors.nbytes + index.scratch_bytes
    assert held <= torch.cuda.memory_reserved() - before < 2 * held
    del index
    assert torch.cuda.memory_reserved() - before < held / 4
