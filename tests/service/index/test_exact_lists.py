"""Exact lists, whatever the index proposes first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.errors import StartError
from service.index import Neighbours, PopularOrder, Position, Ranker, Ranking, SearchBatch, open_index
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.order import ScoreError
from service.index.passing import NARROWEST, Passing, group_size

NOTHING = np.zeros(0, np.int32)


def from_proposals(vectors: NDArray[np.float32]) -> Ranker:
    return open_index(vectors, "cpu", "flat").ranker


def from_all_scores(vectors: NDArray[np.float32]) -> Ranker:
    return open_index(vectors, "cpu", "torch").ranker


both_ways = pytest.mark.parametrize("a_ranker", [from_proposals, from_all_scores])


def plainly(
    vectors: NDArray[np.float32], u: NDArray[np.float32], dropped: NDArray[np.int32], count: int
) -> tuple[list[int], list[float]]:
    scores = np.round([(v.astype(np.float64) * u.astype(np.float64)).sum() for v in vectors], 6)
    left = sorted(set(range(len(vectors))) - set(dropped.tolist()), key=lambda row: (-scores[row], row))
    return left[:count], [scores[row] for row in left[:count]]


def same(found: Ranking, expected: tuple[list[int], list[float]]) -> bool:
    return (found.rows.tolist(), found.scores.tolist()) == expected


def drawn(seed: int, *, items: int = 3000, dimensions: int = 8) -> tuple[np.random.Generator, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(items, dimensions)).astype(np.float32)


@both_ways
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 10, 100, 1000]), st.sampled_from([0, 5, 60, 2999]))
def test_the_list_is_the_one_that_comparing_everything_gives(a_ranker, seed, count, drop):
    rng, vectors = drawn(seed)
    fair = rng.normal(size=(3, 8)).astype(np.float32)
    best_first = np.argsort(-(fair.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1)
    dropped = [best[:drop].astype(np.int32) for best in best_first]  # the worst case: the favourites are gone

    found = a_ranker(vectors).top(SearchBatch(fair, dropped, [count] * 3))

    for row in range(3):
        assert same(found[row], plainly(vectors, fair[row], dropped[row], count))


@both_ways
def test_ties_are_broken_by_item_row_even_across_the_end_of_the_proposals(a_ranker):
    _, vectors = drawn(3)
    vectors[::2] = vectors[0]  # half of the catalogue is one item
    fair = vectors[:1] * 5

    (found,) = a_ranker(vectors).top(SearchBatch(fair, [np.array([0, 2], np.int32)], [10]))

    assert found.rows.tolist() == list(range(4, 24, 2))
    assert same(found, plainly(vectors, fair[0], np.array([0, 2], np.int32), 10))


@both_ways
def test_scores_that_differ_by_less_than_the_step_are_ties(a_ranker):
    vectors = np.full((2000, 4), 0.5, np.float32)
    vectors[:, 0] += np.linspace(0, 4e-7, 2000, dtype=np.float32)
    fair = np.array([[1, 0, 0, 0]], np.float32)

    (found,) = a_ranker(vectors).top(SearchBatch(fair, [NOTHING], [5]))

    assert same(found, plainly(vectors, fair[0], NOTHING, 5))
    assert found.rows.tolist() == [0, 1, 2, 3, 4]


@both_ways
def test_company_changes_nothing(a_ranker):
    rng, vectors = drawn(5, dimensions=64)
    vectors[100:140] = vectors[99]
    fair = rng.normal(size=(64, 64)).astype(np.float32)
    dropped = [rng.choice(3000, size, replace=False).astype(np.int32) for size in rng.integers(0, 2500, 64)]
    counts = rng.choice([1, 10, 1000], 64).tolist()
    ranker = a_ranker(vectors)

    together = ranker.top(SearchBatch(fair, dropped, counts))

    for row in range(64):
        (alone,) = ranker.top(SearchBatch(fair[row : row + 1], dropped[row : row + 1], counts[row : row + 1]))
        assert same(together[row], (alone.rows.tolist(), alone.scores.tolist()))


@both_ways
def test_scores_beyond_float32_are_an_error_and_not_a_wrong_list(a_ranker):
    _, vectors = drawn(7)

    with pytest.raises(ScoreError):
        a_ranker(vectors * 1e20).top(SearchBatch(vectors[:1] * 1e20, [NOTHING], [10]))


@both_ways
def test_fewer_come_only_where_fewer_are_left(a_ranker):
    _, vectors = drawn(6, items=20)

    few, none = a_ranker(vectors).top(
        SearchBatch(vectors[:2], [np.arange(18, dtype=np.int32), np.arange(20, dtype=np.int32)], [10, 10])
    )

    assert sorted(few.rows.tolist()) == [18, 19]
    assert none.rows.tolist() == []


def test_cuda_is_refused_and_auto_explains_itself_where_there_is_no_gpu(monkeypatch):
    monkeypatch.delattr("faiss.StandardGpuResources", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    opened = open_index(np.eye(3, dtype=np.float32), "auto")

    assert opened.index.device == "cpu"
    assert "GPU" in str(opened.note)
    with pytest.raises(StartError, match="EVENHAND_DEVICE is cuda, but"):
        open_index(np.eye(3, dtype=np.float32), "cuda")


def paged(ranked: Callable[[int, Position | None], Ranking], size: int) -> list[int]:
    """All pages of a list, one after the other."""
    rows: list[int] = []
    while page := ranked(size, Position(rows[-1], len(rows)) if rows else None).rows.tolist():
        rows += page
    return rows


@both_ways
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([7, 100, 450]), st.sampled_from([0.0, 0.02, 1.0]))
def test_the_pages_of_a_list_are_the_list(a_ranker, seed, size, coarse):
    rng, vectors = drawn(seed, items=900)
    if coarse:  # few different scores, so that pages end within ties
        vectors = (np.round(vectors / coarse) * coarse).astype(np.float32)
    fair = (np.round(rng.normal(size=(1, 8)) * 2) / 2).astype(np.float32)
    dropped = rng.choice(900, 50, replace=False).astype(np.int32)
    ranker = a_ranker(vectors)

    pages = paged(lambda count, after: ranker.top(SearchBatch(fair, [dropped], [count], [after]))[0], size)

    assert pages == plainly(vectors, fair[0], dropped, 900)[0]


@both_ways
def test_a_list_goes_on_after_an_item_that_is_dropped_by_now(a_ranker):
    rng, vectors = drawn(5)
    fair = rng.normal(size=(1, 8)).astype(np.float32)
    whole, _ = plainly(vectors, fair[0], NOTHING, 40)
    gone = np.array([whole[9], whole[12]], np.int32)

    (found,) = a_ranker(vectors).top(SearchBatch(fair, [gone], [10], [Position(whole[9], 10)]))

    assert found.rows.tolist() == [row for row in whole[10:21] if row not in gone]


def test_popular_items_come_by_count_then_by_row_and_in_pages():
    counts = np.array([3, 9, 9, 0, 5, 3])
    order = PopularOrder(counts)

    whole = order.top(np.array([4], np.int32), 10)

    assert (whole.rows.tolist(), whole.scores.tolist()) == ([1, 2, 0, 5, 3], [9, 9, 3, 3, 0])
    assert paged(lambda count, after: order.top(np.array([4], np.int32), count, after), 2) == [1, 2, 0, 5, 3]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 10, 2999]), st.booleans())
def test_similar_items_are_those_that_cosines_in_numpy_give(seed, count, coarse):
    rng, vectors = drawn(seed, items=600)
    vectors[7] = 0
    if coarse:
        vectors = np.round(vectors)
    item, dropped = int(rng.integers(600)), rng.choice(600, 30, replace=False).astype(np.int32)
    exact = vectors.astype(np.float64)
    lengths = np.sqrt((exact**2).sum(axis=1))
    cosines = np.round(
        [
            v @ exact[item] / (n * lengths[item]) if n * lengths[item] else 0.0
            for v, n in zip(exact, lengths, strict=True)
        ],
        6,
    )

    found = Neighbours(vectors).top(item, dropped, count)

    left = sorted({*range(600)} - {item, *dropped.tolist()}, key=lambda row: (-cosines[row], row))[:count]
    assert found.scores == pytest.approx(cosines[left], abs=1.1e-6)
    assert coarse or found.rows.tolist() == left
    assert len(found.rows) == len(left) == len({*found.rows.tolist()} - {item, *dropped.tolist()})


def test_the_best_of_groups_of_items_hide_no_item(monkeypatch):
    """So many items that their best by groups say where to cut; steps of two rows, and a list that goes on."""
    rng, vectors = drawn(11, items=14_405)
    deep = group_size(len(vectors), 10, NARROWEST)
    wide = len(vectors) // deep  # item rows that far apart share a group
    assert deep > 10
    assert group_size(len(vectors), 300, NARROWEST) > 1
    fair = rng.normal(size=(5, 8)).astype(np.float32)
    vectors[wide::wide] = vectors[0] = 3 * fair[0]  # the favourites tie, in one group
    vectors[-1] = 4 * fair[2]  # and behind the last group
    best_first = np.argsort(-(fair.astype(np.float64) @ vectors.T.astype(np.float64)), axis=1)
    dropped = [best[:drop].astype(np.int32) for best, drop in zip(best_first, (0, 2000, 0, 3, 0), strict=True)]
    ranker = ExhaustiveRanker(vectors)
    monkeypatch.setattr("service.index.exhaustive_ranker.ROWS", 2)

    for counts in ([10] * 5, [1, 300, 7, 2, 40]):
        found = ranker.top(SearchBatch(fair, dropped, counts))
        for row in range(5):
            assert same(found[row], plainly(vectors, fair[row], dropped[row], counts[row]))

    whole, _ = plainly(vectors, fair[4], NOTHING, 60)
    (page,) = ranker.top(SearchBatch(fair[4:], [NOTHING], [20], [Position(whole[39], 40)]))
    assert page.rows.tolist() == whole[40:]


def better_and_better(vectors: NDArray[np.float32], u: NDArray[np.float32]) -> NDArray[np.float32]:
    """The worst order for a bar that rises: each tile has better items than all before."""
    return vectors[np.argsort(vectors @ u)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([64, 700, 8192]), st.sampled_from([1, 10, 400]), st.booleans())
def test_tiles_of_items_give_the_list_of_all(seed, tile, count, rising):
    rng, vectors = drawn(seed, items=1501)
    fair = rng.normal(size=(4, 8)).astype(np.float32)
    fair[3] = 0  # everything ties
    if rising:
        vectors = better_and_better(vectors, fair[0])
    best_first = np.argsort(-(fair @ vectors.T), axis=1)
    dropped = [best[:drop].astype(np.int32) for best, drop in zip(best_first, rng.integers(0, 90, 4), strict=True)]
    later = [None, Position(int(best_first[1, 99]), 10), None, None]

    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr("service.index.exhaustive_ranker.TILE", tile)
        smaller.setattr("service.index.exhaustive_ranker.MOST_KEPT", 2000)
        found = ExhaustiveRanker(vectors).top(SearchBatch(fair, dropped, [count, count, 1, count], later))

    for row, wanted in enumerate([count, 0, 1, count]):
        if row != 1:
            assert same(found[row], plainly(vectors, fair[row], dropped[row], wanted))
    whole = plainly(vectors, fair[1], dropped[1], 1501)[0]
    assert found[1].rows.tolist() == whole[whole.index(later[1].row) + 1 :][:count]


def test_where_most_items_are_dropped_the_list_is_the_same(monkeypatch):
    rng, vectors = drawn(14, items=900)
    fair = rng.normal(size=(6, 8)).astype(np.float32)
    dropped = [rng.choice(900, 850, replace=True).astype(np.int32) for _ in range(6)]
    monkeypatch.setattr("service.index.exhaustive_ranker.TILE", 64)
    monkeypatch.setattr("service.index.exhaustive_ranker.WHOLE", 2000)  # two rows

    found = ExhaustiveRanker(vectors).top(SearchBatch(fair, dropped, [20] * 6))

    for row in range(6):
        assert same(found[row], plainly(vectors, fair[row], dropped[row], 20))


def test_no_more_is_held_than_was_said_where_all_items_tie(monkeypatch):
    _, vectors = drawn(15, items=2000)
    monkeypatch.setattr("service.index.exhaustive_ranker.TILE", 6400)
    monkeypatch.setattr("service.index.exhaustive_ranker.MOST_KEPT", 5000)
    held: list[int] = []
    found = Passing.found
    monkeypatch.setattr(Passing, "found", lambda passing: (held.append(passing.size), found(passing))[1])

    lists = ExhaustiveRanker(vectors).top(SearchBatch(np.zeros((64, 8), np.float32), [NOTHING] * 64, [10] * 64))

    assert all(one.rows.tolist() == list(range(10)) for one in lists)
    assert max(held) <= 5000


def test_threads_that_compare_everything_do_not_share_memory():
    rng, vectors = drawn(12, items=2 * NARROWEST)
    fair = rng.normal(size=(64, 8)).astype(np.float32)
    rankers = [ExhaustiveRanker(vectors), ExhaustiveRanker(vectors[::-1].copy())]

    def lists(place: int) -> list[int]:
        row = place // 2
        return rankers[place % 2].top(SearchBatch(fair[row : row + 1], [NOTHING], [10]))[0].rows.tolist()

    alone = [lists(place) for place in range(128)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lists, range(128))) == alone
