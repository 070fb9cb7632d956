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


def squares():
    """A graph, and what it computes from."""
    from service.graphs import Graphs

    x = torch.zeros(64, device="cuda")
    return x, Graphs(x.device).captured(lambda: (x * x + 1).sort(descending=True).values)


def test_a_graph_computes_from_what_is_there_when_it_is_called():
    x, graph = squares()

    for seed in range(5):
        x.copy_(torch.randn(64, generator=torch.Generator().manual_seed(seed)))
        assert torch.equal(graph(), (x * x + 1).sort(descending=True).values)


def test_graphs_are_captured_in_several_threads_while_others_run():
    x, graph = squares()
    x.fill_(3)

    def work(place):
        if place % 3 == 0:
            other, another = squares()
            other.fill_(place)
            return bool((another() == place * place + 1).all())
        if place % 3 == 1:
            return bool((torch.ones(2**20 * (place + 1), device="cuda") + 1 == 2).all())
        from service.graphs import give_back

        give_back()
        return bool((graph() == 10).all())

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(120)))


def test_memory_of_an_index_is_what_it_says_and_ends_with_it():
    from service.graphs import give_back
    from service.index.dense import WIDTHS, TorchIndex

    gc.collect()
    give_back()
    before = torch.cuda.memory_reserved()
    rng = np.random.default_rng(2)
    index = TorchIndex(rng.normal(size=(1_000_000, 16)).astype(np.float32), "cuda")
    fair = rng.normal(size=(64, 16)).astype(np.float32)
    for width in WIDTHS:
        for rows in range(1, 65):
            index.propose(fair[:rows], width, [rng.choice(1_000_000, 20).astype(np.int32) for _ in range(rows)])

    held = index.vectors.nbytes + index.scratch_bytes
    give_back()
    assert held <= torch.cuda.memory_reserved() - before < 2 * held
    del index
    give_back()
    assert torch.cuda.memory_reserved() - before < held / 4
