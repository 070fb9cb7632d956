"""The lists of a card are the lists that are served."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle import Reranker, build_reranker
from measure.ranking import top_items
from measure.scoring import Scorer
from service.index import CandidateRanker, SearchBatch, open_index
from training.scoring import scorer_of


def by_hand(u, items, count, dropped=()):
    scores = np.round((items.astype(np.float64) * u.astype(np.float64)).sum(axis=1), 6)
    order = sorted((-score, row) for row, score in enumerate(scores) if row not in dropped)
    rows = [row for _, row in order[:count]]
    return rows + [-1] * (count - len(rows))


def csr(rows):
    return np.cumsum([0, *map(len, rows)]).astype(np.int64), np.array([i for row in rows for i in row], np.int32)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.mark.parametrize("step", [0.0, 0.25, 1e-7], ids=["continuous", "many ties", "ties by rounding"])
def test_lists_are_ordered_by_rounded_score_and_then_by_item(rng, step):
    users, items = rng.normal(size=(20, 4)), rng.normal(size=(300, 4))
    if step == 0.25:
        users, items = np.round(users), np.round(items)
    elif step:
        users, items = users * step, items
    users, items = users.astype(np.float32), items.astype(np.float32)
    dropped = [sorted(rng.choice(300, size, replace=False).tolist()) for size in (0, 1, 150, 295, 300) * 4]

    plain, rest = top_items(users, Scorer(items), 10), top_items(users, Scorer(items), 10, csr(dropped))

    for row, u in enumerate(users):
        assert plain[row].tolist() == by_hand(u, items, 10)
        assert rest[row].tolist() == by_hand(u, items, 10, set(dropped[row]))


def test_a_user_without_a_vector_gets_the_first_items(rng):
    items = rng.normal(size=(300, 4)).astype(np.float32)

    assert top_items(np.zeros((2, 4), np.float32), Scorer(items), 10).tolist() == [list(range(10))] * 2


def test_a_list_longer_than_the_catalogue_ends_with_empty_places(rng):
    items = rng.normal(size=(3, 4)).astype(np.float32)

    lists = top_items(rng.normal(size=(5, 4)).astype(np.float32), Scorer(items), 5, csr([[1]] * 5))

    assert (lists[:, 2:] == -1).all()
    assert (np.sort(lists[:, :2]) == [0, 2]).all()


def test_the_lists_are_those_of_the_service(rng):
    users, items = (rng.normal(size=(n, 16)).astype(np.float32) for n in (50, 2_000))
    seen = [np.sort(rng.choice(2_000, 40, replace=False)).astype(np.int32) for _ in users]

    served = open_index(items, "cpu").ranker.top(SearchBatch(users, seen, [10] * 50))

    assert top_items(users, Scorer(items), 10, csr(seen)).tolist() == [ranking.rows.tolist() for ranking in served]


@pytest.mark.parametrize("count", [1, 10, 50])
def test_the_lists_of_a_reranker_are_those_of_the_service_too(rng, count):
    users, items = (rng.normal(size=(n, 16)).astype(np.float32) for n in (50, 500))
    reranker = build_reranker(Reranker(kind="mlp", sizes={"layers": [32, 8, 1]}, candidates=20), 16, 500)
    generator = torch.Generator().manual_seed(3)
    for parameter in reranker.requires_grad_(False).parameters():
        parameter.normal_(0, 1, generator=generator)
    seen = [np.sort(rng.choice(500, size, replace=False)).astype(np.int32) for size in (0, 40, 475, 495, 500) * 10]

    listed = top_items(users, scorer_of(items, reranker), count, csr(seen))
    ranker = CandidateRanker(open_index(items, "cpu").ranker, reranker)
    served = ranker.top(SearchBatch(users, seen, [count] * 50))

    for rows, ranking in zip(listed, served, strict=True):
        assert rows[rows >= 0].tolist() == ranking.rows.tolist()
