"""The same lists on a GPU as on the CPU.

What every backend must do, those on a GPU included, is in tests/service/index/test_backends.py: `pytest -m gpu` runs it
for them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

faiss = pytest.importorskip("faiss")

NOTHING = np.zeros(0, np.int32)
has_faiss = pytest.mark.skipif(
    not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0, reason="no GPU that FAISS can use"
)
has_torch = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
pytestmark = pytest.mark.gpu


def drawn(items):
    rng = np.random.default_rng(items)
    centres = rng.normal(size=(500, 64))
    vectors = (centres[rng.integers(0, 500, items)] + 0.5 * rng.normal(size=(items, 64))).astype(np.float32)
    return rng, vectors


@pytest.mark.parametrize("kind", [pytest.param("flat", marks=has_faiss), pytest.param("torch", marks=has_torch)])
@pytest.mark.parametrize("items", [100, 60_000])
def test_a_gpu_gives_the_lists_of_the_cpu(kind, items):
    from service.index import SearchBatch, make_ranker, open_index
    from service.index.exhaustive_ranker import ExhaustiveRanker

    rng, vectors = drawn(items)
    vectors[::9] = vectors[0]
    fair = rng.normal(size=(32, 64)).astype(np.float32)
    dropped = [rng.choice(items, size, replace=False).astype(np.int32) for size in rng.integers(0, items, 32)]
    counts = rng.choice([1, 10, 1000], 32).tolist()
    cpu, gpu = (open_index(vectors, device, kind).index for device in ("cpu", "cuda"))

    expected = make_ranker(cpu, ExhaustiveRanker(vectors)).top(SearchBatch(fair, dropped, counts))
    found = make_ranker(gpu, ExhaustiveRanker(vectors)).top(SearchBatch(fair, dropped, counts))

    assert gpu.device == "cuda"
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)


@has_faiss
def test_lists_on_a_gpu_are_those_of_the_cpu():
    """The same groups of items are looked into; where the scores of two items tie in float32, another may be last."""
    from service.index import ApproximateRanker, SearchBatch
    from service.index.exhaustive_ranker import ExhaustiveRanker
    from service.index.gpu import GpuIvfIndex
    from service.index.ivf import IvfIndex

    rng, vectors = drawn(60_000)
    fair = (vectors[rng.integers(0, 60_000, 64)] + 0.1 * rng.normal(size=(64, 64))).astype(np.float32)
    cpu, gpu = IvfIndex(vectors), GpuIvfIndex(vectors)

    expected = ApproximateRanker(cpu.at(4), ExhaustiveRanker(vectors)).top(SearchBatch(fair, [NOTHING] * 64, [10] * 64))
    found = ApproximateRanker(gpu.at(4), ExhaustiveRanker(vectors)).top(SearchBatch(fair, [NOTHING] * 64, [10] * 64))

    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


@has_faiss
def test_auto_searches_on_the_gpu():
    from service.index import open_index

    opened = open_index(drawn(60_000)[1], "auto")

    assert (opened.index.device, opened.note) == ("cuda", None)


@pytest.mark.parametrize("kind", [pytest.param("flat", marks=has_faiss), pytest.param("torch", marks=has_torch)])
def test_an_index_beside_another_is_built_and_searched_while_that_one_serves(kind):
    """As an activation does; each has a thread and resources, or graphs, of its own."""
    from concurrent.futures import ThreadPoolExecutor

    from service.index import SearchBatch, make_ranker
    from service.index.build import build
    from service.index.exhaustive_ranker import ExhaustiveRanker

    rng, vectors = drawn(60_000)
    fair = rng.normal(size=(16, 64)).astype(np.float32)
    whole = ExhaustiveRanker(vectors)
    serving = make_ranker(build(kind, vectors, "cuda").index, whole)
    expected = [one.rows.tolist() for one in serving.top(SearchBatch(fair, [NOTHING] * 16, [10] * 16))]

    with ThreadPoolExecutor(2) as threads:
        answers = threads.map(
            lambda place: (serving if place % 2 else make_ranker(build(kind, vectors, "cuda").index, whole)).top(
                SearchBatch(fair, [NOTHING] * 16, [10] * 16)
            ),
            range(20),
        )
        assert all([one.rows.tolist() for one in answer] == expected for answer in answers)
