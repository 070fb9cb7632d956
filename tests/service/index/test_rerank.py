"""A bundle with a reranker: inner products propose, the reranker orders, the same way in any company."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import torch

from service.errors import NotReadyError
from service.index import CandidateRanker, Position, SearchBatch, make_ranker, open_index
from service.index.exhaustive_ranker import ExhaustiveRanker
from service.index.order import ScoreError
from service.logs import make_logger
from service.recommend.queries import UserQuery
from service.runtime import Runtime
from service.settings import Settings

NOTHING = np.zeros(0, np.int32)
BUNDLE = {"users": 64, "items": 900, "dimensions": 16, "candidates": 30, "attributes": ("gender", "age")}
MASKS = ((), ("gender",), ("age",), ("gender", "age"))


def in_numpy(bundle, fair, drop, k):
    """Candidates and their order from the bundle alone; in float64, one item at a time."""
    left = [row for row in range(len(bundle.items.ids)) if row not in drop]
    inner = np.round([float(bundle.items.vectors[row].astype(np.float64) @ fair.astype(np.float64)) for row in left], 6)
    width = max(k, bundle.reranker.spec.candidates)
    candidates = [left[place] for place in np.lexsort((left, -inner))[:width]]
    with torch.no_grad():
        u = torch.from_numpy(fair).double()[None]
        scores = [float(bundle.reranker.double()(u, torch.tensor([[row]]))) for row in candidates]
    order = np.lexsort((candidates, -np.round(scores, 6)))[:k]
    return [candidates[place] for place in order], [round(scores[place], 6) for place in order]


def test_64_concurrent_requests_get_the_lists_that_each_gets_alone_and_that_numpy_gives(a_recommender):
    rng = np.random.default_rng(0)
    seen = {f"u{user}": [f"i{row}" for row in rng.choice(900, 14 * user, replace=False)] for user in range(64)}
    queries = [UserQuery(f"u{user}", sensitive=MASKS[user % 4], k=(10, 1, 1000)[user % 3]) for user in range(64)]

    async def story() -> None:
        async with a_recommender(seen=seen, **BUNDLE) as recommender:
            together = await asyncio.gather(*map(recommender.recommend, queries))
            alone = [await recommender.recommend(query) for query in queries]
            model = recommender.model

        for user, query in enumerate(queries):
            (fair,) = model.encoder.fair_vectors([user], [model.bundle.description.mask(query.sensitive)])
            rows, scores = in_numpy(model.bundle, fair, set(model.bundle.seen.of(user).tolist()), query.k)
            assert together[user].ranking.rows.tolist() == alone[user].ranking.rows.tolist() == rows
            assert together[user].ranking.scores.tolist() == alone[user].ranking.scores.tolist()
            assert together[user].ranking.scores == pytest.approx(scores, abs=1.1e-6)

    asyncio.run(story())


def test_what_must_not_be_shown_is_no_candidate(a_recommender):
    async def story() -> None:
        async with a_recommender(users=6, items=40, candidates=5) as recommender:
            first = (await recommender.recommend(UserQuery("u0", k=5))).ranking.rows.tolist()
            ids = [recommender.model.bundle.items.ids[row] for row in first]
            without = await recommender.recommend(UserQuery("u0", k=5, exclude=tuple(ids)))

            assert len(without.ranking.rows) == 5
            assert not set(first) & set(without.ranking.rows.tolist())

    asyncio.run(story())


def ranked(reranker, vectors, u, count):
    ranker = CandidateRanker(open_index(vectors, "cpu").ranker, reranker)
    return ranker.top(SearchBatch(u, [NOTHING], [count]))[0]


def test_a_list_longer_than_the_candidates_is_filled_and_ordered_by_the_reranker_alone(a_bundle):
    bundle = a_bundle(items=40, candidates=5)

    shown = ranked(bundle.reranker, bundle.items.vectors, bundle.audit.base[:1], 1000)

    assert sorted(shown.rows.tolist()) == list(range(40))
    assert (np.diff(shown.scores) <= 0).all()


def test_equal_scores_are_ordered_by_item_row(a_bundle):
    bundle = a_bundle(items=40, candidates=8)
    bundle.reranker.items.copy_(bundle.reranker.items[:1].expand(40, -1))

    shown = ranked(bundle.reranker, bundle.items.vectors, bundle.audit.base[:1], 8)

    assert len(set(shown.scores.tolist())) == 1
    assert shown.rows.tolist() == sorted(shown.rows.tolist())


def test_a_score_that_is_no_number_is_an_error_and_not_a_wrong_list(a_bundle):
    bundle = a_bundle(items=40, candidates=8)
    bundle.reranker.items[3] = float("nan")

    with pytest.raises(ScoreError):
        ranked(bundle.reranker, bundle.items.vectors, bundle.audit.base[:1], 40)


def test_it_is_not_ready_before_a_list_has_been_reranked(a_model, database_url):
    model = a_model(items=40, candidates=8)
    model.bundle.reranker.items.fill_(float("nan"))
    ranker = CandidateRanker(
        make_ranker(model.index, ExhaustiveRanker(model.bundle.items.vectors)), model.bundle.reranker
    )

    async def story() -> None:
        settings = Settings(bundle="unused", database_url=database_url())
        runtime = Runtime(settings, replace(model, ranker=ranker), make_logger("error"))
        with pytest.raises(ScoreError):
            await runtime.start()
        with pytest.raises(NotReadyError):
            runtime.recommender.check_ready()
        await runtime.close()

    asyncio.run(story())


def test_pages_go_through_the_candidates_and_end_with_them(a_bundle):
    bundle = a_bundle(items=200, dimensions=8, candidates=30)
    vectors = bundle.items.vectors
    ranker = CandidateRanker(open_index(vectors, "cpu").ranker, bundle.reranker)
    whole = ranker.top(SearchBatch(vectors[:1], [NOTHING], [30]))[0].rows.tolist()

    pages: list[int] = []
    after: list[Position | None] = [None]
    while page := ranker.top(SearchBatch(vectors[:1], [NOTHING], [7], after))[0].rows.tolist():
        pages += page
        after = [Position(page[-1], len(pages))]

    assert pages == whole
    assert len(whole) == 30
