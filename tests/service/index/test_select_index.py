"""Which index serves, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from service.errors import StartError
from service.index import Ranking, Sample, gpu, hnsw, make_ranker, open_index, select_index
from service.index import build as building
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.flat import FlatIndex
from service.index.gpu import GpuFlatIndex, GpuIvfIndex, Owner
from service.index.hnsw import HnswIndex
from service.index.interface import Ranker
from service.index.ivf import IvfIndex
from service.index.tune import plain_sample, recalls

NOTHING = np.zeros(0, np.int32)


def clustered(seed=0, items=9000, d=16):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(200, d))
    return (centres[rng.integers(0, 200, items)] + 0.3 * rng.normal(size=(items, d))).astype(np.float32)


def iid(seed=0, items=9000, d=64):
    """No clusters: the worst case, more so for users who are no items themselves."""
    rng = np.random.default_rng(seed)
    vectors, users = (rng.normal(size=(count, d)).astype(np.float32) for count in (items, select_index.SAMPLE))
    return vectors, lambda size: Sample(users[:size], [NOTHING] * size)


def slow(monkeypatch, **ms):
    """Make searches of each kind take so many milliseconds, as far as anyone measures."""

    def timed(ranker: Ranker, *_: object) -> float:
        return ms["torch" if isinstance(ranker, ExhaustiveRanker) else ranker._index.kind]

    monkeypatch.setattr(select_index, "search_ms", timed)


def test_a_small_catalogue_is_searched_exactly_and_nothing_else_is_built():
    opened = open_index(clustered(items=3000), "cpu")

    assert (opened.report.kind, opened.report.exact, opened.report.recall, opened.report.tried) == (
        "torch",
        True,
        1.0,
        (),
    )
    assert "comparing every item takes a request" in opened.report.reason


@pytest.mark.parametrize("kind", ["auto", "torch"])
def test_comparing_every_item_is_measured_once(monkeypatch, kind):
    measured = []
    monkeypatch.setattr(select_index, "search_ms", lambda *_: measured.append(0.25) or measured[-1])

    report = open_index(clustered(items=3000), "cpu", kind).report

    assert [report.search_ms] == measured


@pytest.mark.parametrize("items", [1, 3, 4, 12])
def test_a_busy_machine_does_not_stop_the_start_of_a_tiny_catalogue(monkeypatch, items):
    monkeypatch.setattr(select_index, "QUICK_MS", 0.0)

    assert open_index(clustered(items=items, d=4), "cpu").report.exact


def test_where_exact_search_is_slow_lists_are_learned_and_serve(monkeypatch):
    slow(monkeypatch, torch=20.0, ivf=0.1)

    opened = open_index(clustered(), "cpu")

    report = opened.report
    assert (opened.index.kind, report.kind, report.exact) == ("ivf", "ivf", False)
    assert report.recall >= 0.98
    assert "nlist=" in report.parameters
    assert [one.kind for one in report.tried] == ["torch", "ivf"]  # quick enough: no graph is built
    assert report.reason == "0.1 ms a request, comparing every item 20 ms"


def test_the_quickest_of_those_that_find_enough_serves(monkeypatch):
    slow(monkeypatch, torch=50.0, ivf=9.0, hnsw=4.0)

    report = open_index(clustered(), "cpu").report

    assert (report.kind, [one.kind for one in report.tried]) == ("hnsw", ["torch", "ivf", "hnsw"])


def test_what_is_not_twice_as_fast_does_not_serve(monkeypatch):
    slow(monkeypatch, torch=5.0, ivf=3.0, hnsw=2.6)

    report = open_index(clustered(), "cpu").report

    assert (report.kind, report.exact) == ("torch", True)
    assert "nothing finds 98% of the best 10 in 1/2 of its 5 ms" in report.reason


def test_where_nothing_finds_enough_every_item_is_compared(monkeypatch):
    slow(monkeypatch, torch=50.0, ivf=0.1, hnsw=0.1)

    vectors, sample = iid()
    report = open_index(vectors, "cpu", sample=sample).report

    assert (report.kind, report.exact, report.recall) == ("torch", True, 1.0)
    assert all(one.recall < 0.98 for one in report.tried[1:])


def test_a_graph_that_would_take_too_long_is_not_built(monkeypatch):
    slow(monkeypatch, torch=50.0, ivf=9.0)
    monkeypatch.setattr(select_index, "expected_build_s", lambda _: 61.0)

    report = open_index(clustered(), "cpu").report

    assert report.kind == "ivf"
    assert (report.tried[-1].kind, report.tried[-1].build_s, report.tried[-1].search_ms) == ("hnsw", 61.0, None)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_that_is_demanded_and_finds_too_little_is_replaced_and_that_is_said(kind):
    vectors, sample = iid()
    opened = open_index(vectors, "cpu", kind, sample=sample)

    assert opened.report.exact
    assert opened.report.reason.startswith(f"EVENHAND_INDEX is {kind}, which finds ")
    assert opened.report.tried[0].recall < 0.98


def test_an_index_that_is_demanded_for_a_few_items_is_not_built():
    opened = open_index(clustered(items=1000), "cpu", "hnsw")

    assert opened.report.exact
    assert opened.report.reason == "EVENHAND_INDEX is hnsw, which has nothing to gain on 1000 items"


def test_recall_is_measured_on_lists_as_they_are_served(monkeypatch):
    """The sample's users have seen their 60 best items: what an index finds beyond those counts."""
    slow(monkeypatch, torch=50.0, ivf=0.1)
    vectors, asked = clustered(1), []

    def sample(size):
        asked.append(size)
        fair = vectors[:: len(vectors) // size][:size]
        return Sample(fair, [np.argsort(-(vectors @ u))[:60].astype(np.int32) for u in fair])

    opened = open_index(vectors, "cpu", sample=sample)

    assert asked == [select_index.SAMPLE]
    tested = sample(select_index.SAMPLE)
    ranker = make_ranker(opened.index, ExhaustiveRanker(vectors))
    exact = tested.lists(make_ranker(FlatIndex(vectors), ExhaustiveRanker(vectors)))
    assert recalls(tested.lists(ranker), exact).mean() == opened.report.recall


def mostly_zero(seed=0, items=12_000, known=300, d=16):
    rng = np.random.default_rng(seed)
    vectors = np.zeros((items, d), np.float32)
    vectors[items - known :] = rng.normal(size=(known, d))
    return rng, vectors


def test_items_that_stand_in_for_users_have_a_vector():
    _, vectors = mostly_zero()

    assert plain_sample(vectors, 50).fair.any(axis=1).all()
    assert len(plain_sample(np.zeros((9, 4), np.float32), 50).fair) == 9


def test_users_of_whom_nothing_is_known_do_not_count_for_recall(monkeypatch):
    """Any list is right for a zero vector; half of them would make a recall of .97 out of .94."""
    vectors, sample = iid()
    asked = sample(select_index.SAMPLE)
    asked.fair[1::20] = 0
    told = asked.telling()
    assert len(told.fair) == len(told.dropped) == 190

    one = open_index(vectors, "cpu", "ivf", sample=lambda _: asked).report.tried[0].recall
    other = open_index(vectors, "cpu", "ivf", sample=lambda _: told).report.tried[0].recall

    assert one == other


@pytest.mark.parametrize("kind", ["ivf", "hnsw", "auto"])
def test_where_nothing_can_be_asked_for_nothing_is_called_measured(kind, monkeypatch):
    slow(monkeypatch, torch=50.0, ivf=0.1, hnsw=0.1)

    report = open_index(np.zeros((9000, 8), np.float32), "cpu", kind).report

    assert (report.kind, report.exact, report.tried) == ("torch", True, ())
    assert report.reason.endswith("no index can be measured: all vectors to ask with are zero")


def test_a_graph_proposes_zero_vectors_where_they_belong():
    """After what scores more than 0 and before what scores less, the first rows first; FAISS finds zeros only."""
    rng, vectors = mostly_zero(1, known=40)
    index = HnswIndex(vectors)
    u = rng.normal(size=(3, 16)).astype(np.float32)

    rows, scores = index.search(u, 64, [NOTHING] * 3)

    for row in range(3):
        near = vectors @ u[row]
        above = np.flatnonzero(near > 0)
        assert rows[row].tolist() == [*above[np.argsort(-near[above])], *range(64 - len(above))]
        np.testing.assert_allclose(scores[row], near[rows[row]], rtol=1e-4, atol=1e-5)


def test_lists_out_of_a_graph_go_on_with_zero_vectors():
    rng, vectors = mostly_zero(2, known=40)  # fewer than are shown
    ranker = make_ranker(HnswIndex(vectors), ExhaustiveRanker(vectors))
    u = rng.normal(size=(5, 16)).astype(np.float32)

    found = Sample(u, [NOTHING] * 5).lists(ranker, 100)

    exact = Sample(u, [NOTHING] * 5).lists(ExhaustiveRanker(vectors), 100)
    assert [one.rows.tolist() for one in found] == [one.rows.tolist() for one in exact]


def test_how_long_a_graph_takes_is_foretold_without_zero_vectors(monkeypatch):
    tried = []
    monkeypatch.setattr(hnsw, "_graph", tried.append)

    hnsw.expected_build_s(mostly_zero(items=20_000)[1])
    hnsw.expected_build_s(np.zeros((50, 4), np.float32))

    assert [len(vectors) for vectors in tried] == [300, 0]


def test_recall_takes_any_item_of_a_tie_for_the_last_place():
    exact = [Ranking(np.array([4, 1, 2]), np.array([3.0, 2.0, 1.0])), Ranking(np.zeros(0, np.int64), np.zeros(0))]
    found = [Ranking(np.array([4, 9, 7]), np.array([3.0, 1.0, 0.5])), exact[1]]

    assert recalls(found, exact).tolist() == [2 / 3, 1.0]


def test_the_log_hears_all_of_it(monkeypatch):
    slow(monkeypatch, torch=20.0, ivf=0.1)

    facts = open_index(clustered(), "cpu").report.facts()

    said = {"index", "device", "exact", "parameters", "recall_10", "recall_100", "reason", "build_s", "search_ms"}
    assert facts.keys() == said | {"tried"}
    assert facts["tried"][0]["kind"] == "torch"


# A GPU, or what stands in for one: what runs there is FAISS's CPU index, in the thread that owns it.


@pytest.fixture
def pretended_gpu(monkeypatch):
    import faiss

    def flat(vectors):
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return None, index

    monkeypatch.setattr(gpu, "_flat", flat)
    monkeypatch.setattr(gpu, "_to_gpu", lambda lists: (None, lists))
    for module in (gpu, building):
        monkeypatch.setattr(module, "no_gpu", lambda: None)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_exact_search_is_on_the_gpu_where_there_is_one(pretended_gpu, device):
    opened = open_index(clustered(items=3000), device)

    assert isinstance(opened.index, GpuFlatIndex)
    assert (opened.report.device, opened.note) == ("cuda", None)


def test_lists_on_the_gpu_propose_what_they_propose_on_the_cpu(pretended_gpu):
    vectors = clustered(2)
    on_gpu, on_cpu = open_index(vectors, "cuda", "ivf").index, open_index(vectors, "cpu", "ivf").index
    assert isinstance(on_gpu, GpuIvfIndex)
    assert (on_gpu.device, on_cpu.device) == ("cuda", "cpu")

    one, other = (index.search(vectors[:40], 64, [NOTHING] * 40)[0] for index in (on_gpu, on_cpu))

    assert one.tolist() == other.tolist()


def test_a_gpu_index_is_asked_for_no_more_than_it_can_return():
    vectors = clustered(3, items=80_000)
    index = IvfIndex(vectors)

    assert index.windows == (64, 512, 4096)
    assert gpu._narrow(index.windows) == (64, 512)
    assert gpu.GPU_MAX_COUNT >= 512


def test_auto_falls_back_to_the_cpu_and_says_why_where_the_gpu_is_too_small(pretended_gpu, monkeypatch):
    def full(_):
        raise RuntimeError("Error in allocMemory: cudaMalloc error out of memory [2]\nat StandardGpuResources.cpp:452")

    monkeypatch.setattr(gpu, "_flat", full)

    opened = open_index(clustered(items=3000), "auto")

    assert isinstance(opened.index, FlatIndex)
    assert opened.note == "the GPU does not take the index: Error in allocMemory: cudaMalloc error out of memory [2]"
    with pytest.raises(StartError, match="EVENHAND_DEVICE is cuda, but the GPU does not take the index"):
        open_index(clustered(items=3000), "cuda")


def test_a_graph_is_not_searched_on_a_gpu():
    with pytest.raises(StartError, match="EVENHAND_DEVICE is cuda, but EVENHAND_INDEX=hnsw searches on the CPU"):
        open_index(clustered(), "cuda", "hnsw")


def test_what_a_thread_owns_only_that_thread_touches():
    import threading

    owner = Owner()
    names = {owner.run(lambda: threading.current_thread().name) for _ in range(5)}

    assert len(names) == 1
    assert threading.current_thread().name not in names
    with pytest.raises(ZeroDivisionError):
        owner.run(lambda: 1 / 0)


def test_an_owner_thread_ends_with_its_index(pretended_gpu):
    import gc
    import threading
    import time

    index = GpuFlatIndex(clustered(items=100))
    name = index._owner.run(lambda: threading.current_thread().name)
    del index
    gc.collect()
    for _ in range(3000):
        if name not in {thread.name for thread in threading.enumerate()}:
            return
        time.sleep(0.02)
    pytest.fail("the thread lives on")
