"""One contract for every index that can be used here; GPU ones are skipped where there is no GPU (`-m gpu` runs them).

Lists are compared with an oracle in plain numpy, so that what a backend proposes, drops or rounds cannot hide.
"""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from service.index import (
    Device,
    Kind,
    Opened,
    Position,
    Ranker,
    Ranking,
    Sample,
    SearchBatch,
    make_ranker,
    open_index,
)
from service.index.dense import TorchIndex
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.interface import Approximate
from service.index.torch_ranker import TorchRanker
from service.index.tune import plain_sample, recalls

NOTHING = np.zeros(0, np.int32)
D = 16

no_faiss_gpu = pytest.mark.skipif(
    not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0, reason="no GPU that FAISS can use"
)
no_torch_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
no_milvus = pytest.mark.skipif(
    not (importlib.util.find_spec("pymilvus") and importlib.util.find_spec("milvus_lite")),
    reason="pymilvus and milvus-lite (extra `milvus`) are not installed",
)
gpu = pytest.mark.gpu

EXACT = [
    pytest.param(("flat", "cpu"), id="flat"),
    pytest.param(("torch", "cpu"), id="torch"),
    pytest.param(("flat", "cuda"), id="flat-gpu", marks=[gpu, no_faiss_gpu]),
    pytest.param(("torch", "cuda"), id="torch-gpu", marks=[gpu, no_torch_gpu]),
    pytest.param(("torch", "here"), id="torch-gpu-on-this-cpu"),
]
APPROXIMATE = [
    pytest.param(("ivf", "cpu"), id="ivf"),
    pytest.param(("hnsw", "cpu"), id="hnsw"),
    pytest.param(("milvus", "cpu"), id="milvus", marks=no_milvus),
    pytest.param(("ivf", "cuda"), id="ivf-gpu", marks=[gpu, no_faiss_gpu]),
]
each_exact = pytest.mark.parametrize("opener", EXACT, indirect=True)
each_approximate = pytest.mark.parametrize("opener", APPROXIMATE, indirect=True)
every_backend = pytest.mark.parametrize("opener", EXACT + APPROXIMATE, indirect=True)


@pytest.fixture(scope="module")
def milvus_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Milvus Lite, one for all tests here."""
    folder: Path = tmp_path_factory.mktemp("milvus")
    return str(folder / "lite.db")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no outage, in which lists are made without Milvus."""
    monkeypatch.setattr("service.index.milvus.SEARCH_S", 60.0)


class Opener:
    """Opens indexes of one kind, each catalogue once."""

    def __init__(self, kind: Kind, device: Device, milvus_url: str | None, opened: dict[str, Opened]) -> None:
        self.kind = kind
        self.device = device
        self.milvus_url = milvus_url
        self._opened = opened
        self.many = 12_000 if kind == "hnsw" else 3_000
        """Items with which this kind of index does not find that it has nothing to gain."""

    def __call__(self, vectors: NDArray[np.float32]) -> Opened:
        """Whatever it comes to."""
        which = f"{self.kind} {self.device} {vectors.shape} {sha256(vectors.tobytes()).hexdigest()}"
        if which not in self._opened:
            self._opened[which] = open_index(vectors, self.device, self.kind, milvus_url=self.milvus_url)
        return self._opened[which]

    def ranker(self, vectors: NDArray[np.float32]) -> Ranker:
        """Over an index of this kind, and over no substitute."""
        found = self(vectors)
        assert found.index.kind == self.kind, found.report.reason
        return make_ranker(found.index, ExhaustiveRanker(vectors))

    def ranker_or_substitute(self, vectors: NDArray[np.float32]) -> Ranker:
        """Whatever it comes to."""
        return make_ranker(self(vectors).index, ExhaustiveRanker(vectors))


class OpenerHere(Opener):
    """What torch does on a GPU, done on this CPU."""

    def ranker(self, vectors: NDArray[np.float32]) -> Ranker:
        return self.ranker_or_substitute(vectors)

    def ranker_or_substitute(self, vectors: NDArray[np.float32]) -> Ranker:
        index = TorchIndex(vectors, "cpu")
        if len(vectors):
            index.capture()
        return TorchRanker(index, ExhaustiveRanker(vectors))


@pytest.fixture(scope="module")
def opened() -> dict[str, Opened]:
    """What was opened in this file."""
    return {}


@pytest.fixture
def opener(request: pytest.FixtureRequest, opened: dict[str, Opened]) -> Opener:
    """Of the parameter's kind and device."""
    kind, device = request.param
    if device == "here":
        return OpenerHere(kind, "cpu", None, opened)
    return Opener(kind, device, request.getfixturevalue("milvus_url") if kind == "milvus" else None, opened)


def drawn(seed: int, items: int) -> tuple[np.random.Generator, NDArray[np.float32]]:
    """A clustered catalogue."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, items // 60), D))
    vectors = centres[rng.integers(0, len(centres), items)] + 0.3 * rng.normal(size=(items, D))
    return rng, vectors.astype(np.float32)


def near(rng: np.random.Generator, vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Users whose taste lies where items are."""
    return (vectors[rng.integers(0, len(vectors), count)] + 0.2 * rng.normal(size=(count, D))).astype(np.float32)


def plainly(vectors: NDArray[np.float32], u: NDArray[np.float32], dropped: NDArray[np.int32], count: int) -> Ranking:
    """What numpy shows."""
    scores = np.round((vectors.astype(np.float64) * u.astype(np.float64)).sum(axis=1), 6) + 0.0
    left = np.setdiff1d(np.arange(len(vectors)), dropped)
    order = left[np.lexsort((left, -scores[left]))][:count]
    return Ranking(order, scores[order])


def same(one: Ranking, other: Ranking) -> bool:
    return one.rows.tolist() == other.rows.tolist() and one.scores.tolist() == other.scores.tolist()


@each_exact
def test_exact_backends_give_the_lists_of_numpy(opener):
    rng, vectors = drawn(1, 3000)
    vectors[::9] = vectors[0]
    fair = near(rng, vectors, 40)
    dropped = [rng.choice(3000, size, replace=False).astype(np.int32) for size in rng.integers(0, 3000, 40)]
    counts = rng.choice([1, 10, 100, 1000, 5000], 40).tolist()

    found = opener.ranker(vectors).top(SearchBatch(fair, dropped, counts))

    for row in range(40):
        assert same(found[row], plainly(vectors, fair[row], dropped[row], counts[row]))


@each_approximate
def test_approximate_backends_find_98_in_100_of_the_best_ten(opener):
    rng, vectors = drawn(4, opener.many)
    sample = Sample(near(rng, vectors, 200), [NOTHING] * 200)  # and not the one that it was tuned with

    found = sample.lists(opener.ranker(vectors))

    exact = [plainly(vectors, u, NOTHING, 10) for u in sample.fair]
    assert recalls(found, exact).mean() >= 0.97  # 0.98 and the error of two samples of 200
    for one, best in zip(found, exact, strict=True):
        assert (one.scores <= best.scores).all()


@pytest.mark.parametrize("length", [0.0, 1e-7, 1e-4])
@each_approximate
def test_where_most_items_are_next_to_zero_the_others_are_found(opener, length):
    """The short ones come first, and are whom an evenly spread sample of items asks for."""
    rng = np.random.default_rng(21)
    vectors = (length * rng.normal(size=(opener.many, D))).astype(np.float32)
    vectors[-60:] = rng.normal(size=(60, D))
    sample = Sample(rng.normal(size=(60, D)).astype(np.float32), [NOTHING] * 60)

    found = sample.lists(opener.ranker_or_substitute(vectors))

    exact = [plainly(vectors, u, NOTHING, 10) for u in sample.fair]
    assert recalls(found, exact).mean() >= 0.95


@each_approximate
def test_what_approximate_backends_find_is_in_the_exact_order(opener):
    rng, vectors = drawn(3, opener.many)
    vectors[1::2] = vectors[::2]  # every item has a twin: scores tie
    fair = near(rng, vectors, 30)

    for u, found in zip(fair, opener.ranker(vectors).top(SearchBatch(fair, [NOTHING] * 30, [50] * 30)), strict=True):
        scores = np.round((vectors[found.rows].astype(np.float64) * u.astype(np.float64)).sum(axis=1), 6)
        assert found.scores.tolist() == scores.tolist()
        assert found.rows.tolist() == found.rows[np.lexsort((found.rows, -scores))].tolist()


@every_backend
def test_what_is_excluded_is_never_shown_and_k_items_are(opener):
    rng, vectors = drawn(4, opener.many)
    fair = near(rng, vectors, 12)
    many = opener.many
    sizes = [0, 1, 9, 60, 400, 1000, 2500, many // 2, many - 400, many - 20, many - 15, many]
    best = [plainly(vectors, u, NOTHING, many).rows for u in fair]
    dropped = [rows[:size].astype(np.int32) for rows, size in zip(best, sizes, strict=True)]  # the favourites are gone

    found = opener.ranker(vectors).top(SearchBatch(fair, dropped, [20] * 12))

    for ranking, gone, size in zip(found, dropped, sizes, strict=True):
        assert not set(ranking.rows.tolist()) & set(gone.tolist())
        assert len(set(ranking.rows.tolist())) == len(ranking.rows) == min(20, many - size)


@every_backend
def test_a_list_is_a_function_of_its_row_alone(opener):
    rng, vectors = drawn(5, opener.many)
    vectors[100:160] = vectors[99]
    vectors[200:230] = 0
    fair = near(rng, vectors, 33)
    fair[7], fair[8] = 0, vectors[99]
    dropped = [rng.choice(opener.many, size, replace=False).astype(np.int32) for size in rng.integers(0, 3000, 33)]
    counts = rng.choice([1, 10, 300], 33).tolist()
    ranker = opener.ranker(vectors)
    first = ranker.top(SearchBatch(fair, dropped, counts))
    after = [Position(int(one.rows[-1]), len(one.rows)) if row % 2 else None for row, one in enumerate(first)]

    together = ranker.top(SearchBatch(fair, dropped, counts, after))

    for row in range(33):
        at = slice(row, row + 1)
        assert same(ranker.top(SearchBatch(fair[at], dropped[at], counts[at], after[at]))[0], together[row])
    backwards = ranker.top(SearchBatch(fair[::-1].copy(), dropped[::-1], counts[::-1], after[::-1]))
    assert all(same(*pair) for pair in zip(backwards[::-1], together, strict=True))


@every_backend
def test_threads_may_search_at_once(opener):
    rng, vectors = drawn(4, opener.many)
    fair = near(rng, vectors, 48)
    dropped = [rng.choice(opener.many, 200, replace=False).astype(np.int32) for _ in range(48)]
    ranker = opener.ranker(vectors)
    each = list(SearchBatch(fair, dropped, [10] * 48).steps(1))
    alone = [ranker.top(one)[0] for one in each]

    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(lambda one: ranker.top(one)[0], each))

    assert all(same(*pair) for pair in zip(alone, at_once, strict=True))


@every_backend
def test_pages_neither_repeat_an_item_nor_leave_the_order(opener):
    rng, vectors = drawn(7, opener.many)
    vectors[1::3] = vectors[::3]
    (u,) = near(rng, vectors, 1)
    gone = rng.choice(opener.many, 150, replace=False).astype(np.int32)
    ranker = opener.ranker(vectors)
    shown: list[int] = []

    for _ in range(30):
        after = Position(shown[-1], len(shown)) if shown else None
        (page,) = ranker.top(SearchBatch(u[None], [gone], [40], [after]))
        assert len(page.rows) == 40
        shown += page.rows.tolist()

    place = {row: at for at, row in enumerate(plainly(vectors, u, gone, opener.many).rows.tolist())}
    places = [place[row] for row in shown]
    assert places == sorted(set(places))


@every_backend
@pytest.mark.parametrize("items", [0, 1, 2, 17, 1500])
def test_small_catalogues_are_shown_whole(opener, items):
    rng, vectors = drawn(8, items) if items else (np.random.default_rng(8), np.zeros((0, D), np.float32))
    fair = rng.normal(size=(3, D)).astype(np.float32)
    ranker = opener.ranker_or_substitute(vectors)

    for u, found in zip(fair, ranker.top(SearchBatch(fair, [NOTHING] * 3, [items + 5] * 3)), strict=True):
        assert same(found, plainly(vectors, u, NOTHING, items + 5))


@every_backend
def test_ties_of_a_whole_catalogue_are_broken_by_row(opener):
    _, vectors = drawn(9, opener.many)
    alike = np.tile(vectors[:1], (opener.many, 1))

    (one, none) = opener.ranker_or_substitute(alike).top(
        SearchBatch(np.stack([vectors[0], np.zeros(D, np.float32)]), [np.array([0, 2], np.int32)] * 2, [5, 5])
    )

    assert one.rows.tolist() == none.rows.tolist() == [1, 3, 4, 5, 6]
    assert none.scores.tolist() == [0] * 5


@every_backend
def test_a_catalogue_of_zero_vectors_is_shown_by_row(opener):
    nowhere = np.zeros((opener.many, D), np.float32)

    (found,) = opener.ranker_or_substitute(nowhere).top(SearchBatch(np.ones((1, D), np.float32), [NOTHING], [4]))

    assert found.rows.tolist() == [0, 1, 2, 3]


@every_backend
def test_an_index_names_itself(opener):
    _, vectors = drawn(4, opener.many)

    found = opener(vectors)

    assert found.index.kind == found.report.kind
    assert found.index.device == found.report.device
    assert found.report.exact == (not isinstance(found.index, Approximate))
    assert found.index.trouble is None


@each_approximate
def test_more_effort_finds_no_less(opener):
    _, vectors = drawn(4, opener.many)
    index = opener(vectors).index
    assert isinstance(index, Approximate)
    sample = plain_sample(vectors, 100)
    exact = [plainly(vectors, u, NOTHING, 10) for u in sample.fair]

    reached = [
        recalls(sample.lists(make_ranker(harder, ExhaustiveRanker(vectors))), exact).mean()
        for effort in (1, 3)
        if (harder := index.at(effort)) is not None
    ]

    assert reached == sorted(reached)
