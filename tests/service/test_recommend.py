"""One request, without HTTP: the right list, alone and in company."""

from __future__ import annotations

import asyncio
import dataclasses
from itertools import chain, combinations

import numpy as np
import pytest

from bundle import SupportedMasks, write_bundle
from service.errors import NotReadyError, StartError, UnknownUserError
from service.model import load_model
from service.recommend import Query, Recommendation
from service.requirement import Policy

ATTRIBUTES = ("gender", "age", "occupation")
MASKS = list(chain.from_iterable(combinations(ATTRIBUTES, size) for size in range(4)))


def listed(made: Recommendation) -> tuple[list[int], list[float]]:
    return made.ranking.rows.tolist(), made.ranking.scores.tolist()


def test_64_concurrent_requests_get_the_lists_that_each_gets_alone_and_that_numpy_gives(a_recommender, oracle):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 16)).astype(np.float32)
    vectors[1::7] = vectors[1]  # duplicates tie, whatever the user
    seen = {f"u{user}": [f"i{row}" for row in rng.choice(2000, 30 * user, replace=False)] for user in range(64)}
    bundle = {"users": 64, "items": 2000, "dimensions": 16, "attributes": ATTRIBUTES, "item_vectors": vectors}
    queries = [
        Query(f"u{user}", sensitive=MASKS[user % 8], k=(10, 1, 1000)[user % 3], exclude_seen=user % 5 > 0)
        for user in range(64)
    ]

    async def story() -> None:
        async with a_recommender(seen=seen, **bundle) as recommender:
            together = await asyncio.gather(*map(recommender.recommend, queries))
            alone = [await recommender.recommend(query) for query in queries]

            for user, query in enumerate(queries):
                drop = None if query.exclude_seen else ()
                rows, scores = oracle(recommender.model.bundle, user, query.sensitive, query.k, drop)
                assert listed(together[user]) == listed(alone[user]) == (rows, scores.tolist())

    asyncio.run(story())


def test_a_seen_item_stays_out_even_when_it_scores_highest(a_recommender):
    async def story() -> None:
        async with a_recommender() as recommender:
            favourite = recommender.model.bundle.items.ids[
                int((await recommender.recommend(Query("u0"))).ranking.rows[0])
            ]
        async with a_recommender(seen={"u0": [favourite]}, version="2") as recommender:
            kept_out = await recommender.recommend(Query("u0", k=1000))
            shown = await recommender.recommend(Query("u0", k=1, exclude_seen=False))

            ids = recommender.model.bundle.items.ids
            assert favourite not in [ids[row] for row in kept_out.ranking.rows]
            assert [ids[row] for row in shown.ranking.rows] == [favourite]

    asyncio.run(story())


def test_a_part_that_cannot_be_searched_with_fails_its_own_request_only(a_bundle, a_recommender, tmp_path):
    bundle = a_bundle(users=8)
    parts = bundle.users.parts.copy()
    parts[3] = np.finfo(np.float32).max
    poisoned = dataclasses.replace(bundle, users=dataclasses.replace(bundle.users, parts=parts))
    model = load_model(write_bundle(poisoned, tmp_path), "cpu")

    async def story() -> None:
        async with a_recommender() as recommender:
            recommender.model = model
            answers = await asyncio.gather(
                *(recommender.recommend(Query(f"u{user}")) for user in range(8)), return_exceptions=True
            )

        failed = [user for user, answer in enumerate(answers) if isinstance(answer, Exception)]
        assert failed == [3]

    asyncio.run(story())


def test_an_unknown_user_is_refused_before_anything_is_computed(a_recommender):
    async def story() -> None:
        async with a_recommender() as recommender:
            with pytest.raises(UnknownUserError):
                await recommender.recommend(Query("ripley"))

    asyncio.run(story())


def test_it_is_ready_only_between_start_and_close(a_bundle_folder, a_recommender):
    async def story() -> None:
        async with a_recommender() as recommender:
            recommender.check_ready()
        with pytest.raises(NotReadyError):
            recommender.check_ready()

    asyncio.run(story())


@pytest.mark.parametrize(
    "masks",
    [
        SupportedMasks(kind="list", masks=[["gender"], ["gender", "age"]]),
        SupportedMasks(kind="fixed", masks=[["gender", "age"]]),
    ],
)
@pytest.mark.parametrize("table", [False, True])
def test_a_bundle_with_few_masks_starts_and_answers_them(a_recommender, masks, table):
    async def story() -> None:
        async with a_recommender(Policy(required=("gender",)), supported_masks=masks, table=table) as recommender:
            for mask in masks.masks:
                made = await recommender.recommend(Query("u1", sensitive=tuple(mask)))
                assert set(made.requirement.sources) == set(mask)

    asyncio.run(story())


def test_cosine_ignores_the_length_of_item_vectors(a_bundle, tmp_path, a_recommender):
    vectors = np.array([[100, 100, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32)
    bundle = a_bundle(items=4, item_vectors=vectors)
    cosine = dataclasses.replace(bundle, description=bundle.description.model_copy(update={"scorer": "cosine"}))
    model = load_model(write_bundle(cosine, tmp_path), "cpu")
    fair = model.encoder.fair_vectors([0], [(False, False)])

    (ranking,) = model.ranker.top(fair, [np.zeros(0, np.int32)], [4])

    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
    unit[1:] = vectors[1:]
    expected = unit @ (fair[0] / np.linalg.norm(fair[0]))
    np.testing.assert_allclose(ranking.scores, expected[ranking.rows], atol=2e-6)


def test_a_scorer_that_is_not_served_refuses_the_start(a_bundle, tmp_path):
    bundle = a_bundle()
    other = dataclasses.replace(bundle, description=bundle.description.model_copy(update={"scorer": "rerank"}))

    with pytest.raises(StartError, match="scorer is 'rerank'"):
        load_model(write_bundle(other, tmp_path), "cpu")
