"""The same lists on a GPU as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

faiss = pytest.importorskip("faiss")


@pytest.mark.gpu
@pytest.mark.skipif(
    not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0, reason="no GPU that FAISS can use"
)
@pytest.mark.parametrize("items", [100, 60_000])
def test_a_gpu_gives_the_lists_of_the_cpu(items):
    from service.index import Ranker, open_index

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(items, 64)).astype(np.float32)
    vectors[::9] = vectors[0]
    fair = rng.normal(size=(32, 64)).astype(np.float32)
    dropped = [rng.choice(items, size, replace=False).astype(np.int32) for size in rng.integers(0, items, 32)]
    counts = rng.choice([1, 10, 1000], 32).tolist()
    (cpu, _), (gpu, _) = open_index(vectors, "cpu"), open_index(vectors, "cuda")

    expected = Ranker(cpu, vectors).top(fair, dropped, counts)
    found = Ranker(gpu, vectors).top(fair, dropped, counts)

    assert gpu.device == "cuda"
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)
