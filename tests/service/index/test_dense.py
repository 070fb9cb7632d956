"""What a GPU does for exact lists, on this CPU; that the lists are the right ones is in test_backends.py."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from service.cuda_graphs import SIZES
from service.index import Position, SearchBatch
from service.index.dense import SCRATCH_BYTES, WIDTHS, TorchIndex
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.order import ScoreError
from service.index.torch_ranker import TorchRanker

NOTHING = np.zeros(0, np.int32)


class Noting(TorchIndex):
    """Knows what it was asked for, and may be off by so much in float64."""

    off = 0.0

    def propose(self, fair, width, dropped):
        self.asked.append((len(fair), width))
        found = super().propose(fair, width, dropped)
        return found._replace(sums=found.sums * (1 + self.off))


def made(vectors) -> tuple[Noting, TorchRanker, ExhaustiveRanker]:
    index, whole = Noting(vectors, "cpu"), ExhaustiveRanker(vectors)
    index.asked = []
    index.capture()
    return index, TorchRanker(index, whole), whole


def same(found, expected) -> bool:
    return [(one.rows.tolist(), one.scores.tolist()) for one in found] == [
        (one.rows.tolist(), one.scores.tolist()) for one in expected
    ]


def test_one_search_settles_what_ties_with_nothing():
    rng = np.random.default_rng(1)
    vectors, fair = (rng.normal(size=(count, 16)).astype(np.float32) for count in (20_000, 40))
    index, ranker, whole = made(vectors)
    asked = fair, [rng.choice(20_000, 900).astype(np.int32) for _ in fair], [10] * 40

    assert same(ranker.top(SearchBatch(*asked)), whole.top(SearchBatch(*asked)))
    assert index.asked == [(40, 32)]


def test_ties_that_reach_beyond_the_proposals_are_searched_wider_and_at_last_on_the_cpu():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(20_000, 16)).astype(np.float32)
    vectors[5::100] = 3 * vectors[5]  # 200 of them
    index, ranker, whole = made(vectors)
    fair = np.stack([vectors[5], np.zeros(16, np.float32), rng.normal(size=16).astype(np.float32)])
    asked = fair, [NOTHING] * 3, [10] * 3

    assert same(ranker.top(SearchBatch(*asked)), whole.top(SearchBatch(*asked)))
    assert index.asked == [(3, 32), (2, 256), (1, 2048)]  # the zero vector ties with 20,000


def test_a_sum_that_is_off_where_the_rounding_changes_is_made_again():
    """Multiples of 2⁻⁷ lie just between two steps of a millionth; as do sums of others, now and then."""
    rng = np.random.default_rng(3)
    vectors = (rng.integers(-40, 41, size=(3_000, 16)) / 16).astype(np.float32)
    fair = (rng.integers(-40, 41, size=(60, 16)) / 8).astype(np.float32)
    asked = fair, [NOTHING] * 60, [50] * 60
    index, ranker, whole = made(vectors)
    for index.off in (2.0**-51, -(2.0**-51)):
        assert same(ranker.top(SearchBatch(*asked)), whole.top(SearchBatch(*asked)))
        found = index.propose(fair, 64, [NOTHING] * 60)
        assert (np.round(found.sums, 6) != np.round(found.sums / (1 + index.off), 6)).any()


def test_a_page_begins_after_the_one_before_it():
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(20_000, 16)).astype(np.float32)
    vectors[1::2] = vectors[::2]
    index, ranker, whole = made(vectors)
    fair = rng.normal(size=(4, 16)).astype(np.float32)
    (first, *_) = whole.top(SearchBatch(fair[:1], [NOTHING], [300]))
    after = [Position(int(first.rows[shown - 1]), shown) for shown in (1, 25, 300)]
    asked = np.repeat(fair[:1], 3, axis=0), [NOTHING] * 3, [10] * 3, after

    assert same(ranker.top(SearchBatch(*asked)), whole.top(SearchBatch(*asked)))
    assert {width for _, width in index.asked} == {32, 64, 512}


def test_a_batch_with_more_scores_than_one_step_may_hold_is_the_same(monkeypatch):
    monkeypatch.setattr("service.index.dense.SCRATCH_BYTES", 4 * 20_000 * 8)
    rng = np.random.default_rng(5)
    vectors, fair = (rng.normal(size=(count, 16)).astype(np.float32) for count in (20_000, 21))
    _, ranker, whole = made(vectors)
    asked = fair, [rng.choice(20_000, 50).astype(np.int32) for _ in fair], [10] * 21

    assert same(ranker.top(SearchBatch(*asked)), whole.top(SearchBatch(*asked)))


def test_a_batch_is_the_same_whatever_was_searched_for_before_it():
    """Graphs work in memory that a batch before has filled, and larger batches in other memory."""
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(9_001, 16)).astype(np.float32)
    index, ranker, whole = made(vectors)

    for rows in [64, 5, 1, 65, 33, 2]:
        fair = rng.normal(size=(rows, 16)).astype(np.float32)
        asked = (
            fair,
            [rng.choice(9_001, 700).astype(np.int32) for _ in fair],
            rng.choice([3, 16, 48, 90], rows).tolist(),
        )
        assert same(ranker.top(SearchBatch(*asked)), whole.top(SearchBatch(*asked)))
    assert all((size, width) in index._graphs for size in SIZES for width in WIDTHS)
    assert {width for _, width in index.asked} == set(WIDTHS)
    assert index.scratch_bytes == index._scores.nbytes >= 4 * 64 * 9_001


def test_scores_beyond_float32_are_refused():
    _, ranker, _ = made(np.full((3, 4), 1e30, np.float32))

    with pytest.raises(ScoreError):
        ranker.top(SearchBatch(np.full((1, 4), 1e30, np.float32), [NOTHING], [1]))


def test_scores_that_only_rounding_makes_equal_are_in_the_order_of_the_rows():
    """All are the millionth that they round to, so the first rows are shown, which score least of all before."""
    vectors = np.linspace(0.6, 0.99, 20_000, dtype=np.float32)[:, None] * np.float32(1e-3)
    _, ranker, whole = made(vectors)
    asked = np.full((1, 1), 1e-3, np.float32), [NOTHING], [10]

    assert whole.top(SearchBatch(*asked))[0].rows.tolist() == list(range(10))
    assert same(ranker.top(SearchBatch(*asked)), whole.top(SearchBatch(*asked)))


def test_memory_of_a_step_bounds_its_rows_whatever_makes_it_large():
    index = TorchIndex(np.ones((20_000, 64), np.float32), "cpu")

    for width in (32, 4096):
        row = 4 * 20_000 + 24 * width * 64
        assert row * index._step(width) <= SCRATCH_BYTES < 5 * row * index._step(width)


def test_vectors_end_with_the_index_that_holds_them():
    """So that their memory goes back; nothing waits for the garbage collector."""
    index, ranker, _ = made(np.ones((50, 4), np.float32))
    ranker.top(SearchBatch(np.ones((1, 4), np.float32), [NOTHING], [1]))
    held = [weakref.ref(each) for each in (index, index.vectors, index._scores, index._graphs)]

    gc.disable()
    try:
        del index, ranker
        assert [each() for each in held] == [None] * 4
    finally:
        gc.enable()
