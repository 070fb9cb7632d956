"""Lists and pages out of an index that misses items, and misses others in every window."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.index import ApproximateRanker, Position, ProposalRanker, SearchBatch
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.flat import FlatIndex
from service.index.order import STEP, ExactScores

NOTHING = np.zeros(0, np.int32)


class Erratic:
    """Proposes some of the best items; which ones it misses is different for each window, narrow ones know more."""

    kind, device, trouble, parameters = "ivf", "cpu", None, ""

    def __init__(self, vectors, windows=(16, 64, 256), misses=0.3, reach=None):
        self.vectors, self.windows, self.max_count = vectors, windows, max(windows)
        self.misses, self.reach = misses, reach
        self.asked: list[tuple[int, set[int], float]] = []

    def at(self, effort):
        return self

    def search(self, vectors, count, dropped):
        rows = np.full((len(vectors), count), -1, np.int64)
        scores = np.full((len(vectors), count), -np.inf, np.float32)
        for at, u in enumerate(vectors):
            rng = np.random.default_rng([count, *u.view(np.uint32).tolist()])
            near = self.vectors @ u
            known = np.flatnonzero(rng.random(len(near)) >= self.misses)[: self.reach]
            found = known[np.lexsort((-known, -near[known]))][:count]  # of a tie the wrong ones first
            rows[at, : len(found)], scores[at, : len(found)] = found, near[found]
            full = len(found) == count
            self.asked.append((count, set(found.tolist()), float(near[found[-1]]) if full else -np.inf))
        return rows, scores


def drawn(seed, coarse):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(900, 6)).astype(np.float32)
    if coarse:  # few different scores, so that windows and pages end within ties
        vectors = np.round(vectors)
    return rng, vectors, (np.round(rng.normal(size=6) * 2) / 2).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([3, 10, 40]), st.booleans(), st.sampled_from([0, 60, 700]))
def test_pages_repeat_nothing_and_skip_nothing_that_an_earlier_page_had_found(seed, size, coarse, drop):
    rng, vectors, u = drawn(seed, coarse)
    dropped = rng.choice(900, drop, replace=False).astype(np.int32)
    index = Erratic(vectors)
    ranker = ApproximateRanker(index, ExhaustiveRanker(vectors))
    scores = ExactScores(vectors)
    exact, error = scores.of(u, np.arange(900)), scores.error(u)
    pages, found = [], []

    while True:
        index.asked = []
        after = Position(pages[-1][-1], sum(map(len, pages))) if pages else None
        (page,) = ranker.top(SearchBatch(u[None], [dropped], [size], [after]))
        if not len(page.rows):
            break
        pages.append(page.rows.tolist())
        end = min(cut for _, _, cut in index.asked) if index.asked else np.inf
        known = set().union(*(rows for _, rows, _ in index.asked)) if index.asked else set()
        found.append({row for row in known if exact[row] > end + error + STEP})

    shown = [row for page in pages for row in page]
    order = {row: place for place, row in enumerate(np.lexsort((np.arange(900), -exact)).tolist())}
    assert [order[row] for row in shown] == sorted({order[row] for row in shown})
    assert not set(shown) & set(dropped.tolist())
    for page, known in zip(pages, found, strict=True):
        behind = {row for row in known if order[row] >= order[page[0]]}
        assert behind - set(dropped.tolist()) <= set(shown)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0, 100, 890, 895, 900]))
def test_k_items_are_shown_unless_fewer_are_left(seed, coarse, drop):
    rng, vectors, u = drawn(seed, coarse)
    dropped = rng.choice(900, drop, replace=False).astype(np.int32)

    (found,) = ApproximateRanker(Erratic(vectors), ExhaustiveRanker(vectors)).top(SearchBatch(u[None], [dropped], [10]))

    assert len(set(found.rows.tolist())) == len(found.rows) == min(10, 900 - drop)


def test_an_index_that_finds_too_little_is_helped_out_by_the_whole_catalogue():
    _, vectors, u = drawn(1, False)
    index = Erratic(vectors, misses=0, reach=7)

    (found,) = ApproximateRanker(index, ExhaustiveRanker(vectors)).top(SearchBatch(u[None], [NOTHING], [10]))

    (exact,) = ProposalRanker(FlatIndex(vectors), ExhaustiveRanker(vectors)).top(SearchBatch(u[None], [NOTHING], [10]))
    assert found.rows.tolist() == exact.rows.tolist()


def test_a_tie_that_a_window_cut_is_shown_from_its_first_row():
    vectors = np.ones((900, 4), np.float32)
    vectors[:5] *= 2
    ranker = ApproximateRanker(Erratic(vectors, misses=0), ExhaustiveRanker(vectors))
    (found,) = ranker.top(SearchBatch(vectors[:1], [NOTHING], [30]))

    assert found.rows.tolist() == list(range(30))


def test_a_filter_that_leaves_little_is_not_searched_at_all():
    _, vectors, u = drawn(2, False)
    index = Erratic(vectors)
    dropped = np.arange(880, dtype=np.int32)

    (found,) = ApproximateRanker(index, ExhaustiveRanker(vectors)).top(SearchBatch(u[None], [dropped], [10]))

    assert index.asked == []
    assert (found.rows >= 880).all()
    assert len(found.rows) == 10


@pytest.mark.parametrize("drop", [5, 3000])
def test_dropped_rows_may_come_in_any_order_and_repeated(drop):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(900, 6)).astype(np.float32)
    best = np.argsort(-(vectors @ vectors[0]))
    dropped = rng.permutation(np.resize(best[:5], drop)).astype(np.int32)
    index = Erratic(vectors, misses=0)

    (found,) = ApproximateRanker(index, ExhaustiveRanker(vectors)).top(SearchBatch(vectors[:1], [dropped], [10]))

    assert found.rows.tolist() == best[5:15].tolist()
