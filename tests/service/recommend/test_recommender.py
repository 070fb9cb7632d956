"""One request, without HTTP: the right list, alone and in company."""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest

from bundle import SupportedMasks, write_bundle
from service.errors import NotReadyError, UnknownUserError
from service.index import SearchBatch
from service.model.inference import BundleUser, ByPopularity, History, SimilarTo, Task, compute
from service.model.loaded import load_model
from service.recommend.queries import SessionQuery, UserQuery
from service.recommend.recommender import Recommendation
from service.requirement import Policy
from service.store import Interaction, Purpose, add_interactions, erase_user, hide_item, now_us, put_requirement

Desk = Any
"""`a_recommender`'s."""
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
        UserQuery(f"u{user}", sensitive=MASKS[user % 8], k=(10, 1, 1000)[user % 3], exclude_seen=user % 5 > 0)
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
                int((await recommender.recommend(UserQuery("u0"))).ranking.rows[0])
            ]
        async with a_recommender(seen={"u0": [favourite]}, version="2") as recommender:
            kept_out = await recommender.recommend(UserQuery("u0", k=1000))
            shown = await recommender.recommend(UserQuery("u0", k=1, exclude_seen=False))

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
            recommender.serve(model)
            answers = await asyncio.gather(
                *(recommender.recommend(UserQuery(f"u{user}")) for user in range(8)), return_exceptions=True
            )

        failed = [user for user, answer in enumerate(answers) if isinstance(answer, Exception)]
        assert failed == [3]

    asyncio.run(story())


def test_an_unknown_user_is_refused_before_anything_is_computed(a_recommender):
    async def story() -> None:
        async with a_recommender() as recommender:
            with pytest.raises(UnknownUserError):
                await recommender.recommend(UserQuery("ripley"))

    asyncio.run(story())


def test_it_is_ready_only_between_start_and_close(a_bundle_folder, a_recommender):
    async def story() -> None:
        async with a_recommender() as recommender:
            recommender.recommender.check_ready()
        with pytest.raises(NotReadyError):
            recommender.recommender.check_ready()

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
                made = await recommender.recommend(UserQuery("u1", sensitive=tuple(mask)))
                assert set(made.requirement.sources) == set(mask)

    asyncio.run(story())


def test_cosine_ignores_the_length_of_item_vectors(a_bundle, tmp_path, a_recommender):
    vectors = np.array([[100, 100, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32)
    bundle = a_bundle(items=4, item_vectors=vectors)
    cosine = dataclasses.replace(bundle, description=bundle.description.model_copy(update={"scorer": "cosine"}))
    model = load_model(write_bundle(cosine, tmp_path), "cpu")
    fair = model.encoder.fair_vectors([0], [(False, False)])

    (ranking,) = model.ranker.top(SearchBatch(fair, [np.zeros(0, np.int32)], [4]))

    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
    unit[1:] = vectors[1:]
    expected = unit @ (fair[0] / np.linalg.norm(fair[0]))
    np.testing.assert_allclose(ranking.scores, expected[ranking.rows], atol=2e-6)


@asynccontextmanager
async def held(desk: Desk) -> AsyncIterator[asyncio.Event]:
    """Hold the worker until the event is set, whatever it is given."""
    gate, loop, compute = asyncio.Event(), asyncio.get_running_loop(), desk.recommender._batcher._compute

    def wait_first(*batch):
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
        return compute(*batch)

    desk.recommender._batcher._compute = wait_first
    try:
        yield gate
    finally:
        gate.set()
        desk.recommender._batcher._compute = compute


@pytest.mark.parametrize("change", ["requirement", "interaction", "hidden", "erasure"])
def test_an_answer_that_a_change_has_overtaken_is_made_again_before_it_leaves(a_recommender, change):
    async def story() -> None:
        async with a_recommender() as desk:
            favourite = f"i{(await desk.recommend(UserQuery('u0', k=1))).ranking.rows[0]}"
            async with held(desk) as gate:
                asked = asyncio.create_task(desk.recommend(UserQuery("u0", k=12, fallback="popular")))
                await asyncio.sleep(0.05)
                if change == "requirement":
                    await desk.store.change(put_requirement, "u0", ("age",))
                elif change == "interaction":
                    await desk.store.change(add_interactions, [Interaction("u0", favourite, now_us())])
                elif change == "hidden":
                    await desk.store.change(hide_item, favourite, True)
                else:
                    await desk.store.change(erase_user, "u0", desk.store.pseudonyms)
                gate.set()
                made = await asked

            shown = [f"i{row}" for row in made.ranking.rows]
            assert (favourite in shown) == (change in ("requirement", "erasure"))
            assert made.requirement.sources == ({"age": "user"} if change == "requirement" else {})
            assert made.plan.fallback == ("popular" if change == "erasure" else None)
            assert desk.runtime.metrics.outdated._value.get() == 1
            last = (await desk.logged())[-1]
            assert (last.rows.tolist(), dict(last.applied)) == (made.ranking.rows.tolist(), made.requirement.sources)
            assert len(await desk.logged()) == (1 if change == "erasure" else 2)

    asyncio.run(story())


def test_from_the_moment_that_a_requirement_is_stored_every_answer_applies_it(a_recommender):
    async def story() -> None:
        async with a_recommender(settings={"cache": "memory"}) as desk:
            stored = False

            async def asks() -> list[bool]:
                protected = []
                for _ in range(30):
                    before = stored
                    made = await desk.recommend(UserQuery("u0"))
                    protected.append("age" in made.requirement.sources or not before)
                return protected

            asking = [asyncio.create_task(asks()) for _ in range(8)]
            await asyncio.sleep(0.05)
            await desk.store.change(put_requirement, "u0", ("age",))
            stored = True
            assert all(map(all, await asyncio.gather(*asking)))

    asyncio.run(story())


def test_a_request_keeps_the_model_it_began_with_and_the_old_one_goes_with_its_last_request(
    a_recommender, a_model, oracle
):
    async def story() -> None:
        async with a_recommender(users=6) as desk:
            old, new = desk.model, a_model(version="2", seed=3)
            async with held(desk) as gate:
                first = [asyncio.create_task(desk.recommend(UserQuery(f"u{user}"))) for user in range(4)]
                await asyncio.sleep(0.05)
                desk.serve(new)
                second = [asyncio.create_task(desk.recommend(UserQuery(f"u{user}"))) for user in range(4)]
                await asyncio.sleep(0.05)
                gate.set()
                before, after = await asyncio.gather(*first), await asyncio.gather(*second)

            for user in range(4):
                assert listed(before[user])[0] == oracle(old.bundle, user)[0]
                assert listed(after[user])[0] == oracle(new.bundle, user)[0]
            assert {made.model.version for made in before} == {"1"}
            assert {made.model.version for made in after} == {"2"}

            gone = weakref.ref(old)
            del old, before, after, first, second
            await desk.recommend(UserQuery("u0"))  # the worker forgets its last batch with the next one
            await asyncio.sleep(0.05)
            assert gone() is None

    asyncio.run(story())


def test_one_batch_may_hold_tasks_of_two_models_and_of_every_kind(a_model, oracle):
    one, two = a_model(version="1"), a_model(version="2", seed=3)
    mask, nothing = (False, False), np.zeros(0, np.int32)
    orders = [BundleUser(0, mask), SimilarTo(3), History((2, 5), mask), ByPopularity(), BundleUser(1, (True, False))]
    tasks = [Task(model, order, nothing, 12, None) for order in orders for model in (one, two)]

    together = compute(tasks)
    alone = [compute([task])[0] for task in tasks]

    for mine, company in zip(alone, together, strict=True):
        assert mine.rows.tolist() == company.rows.tolist()
        assert mine.scores.tolist() == company.scores.tolist()
    assert together[0].rows.tolist() == oracle(one.bundle, 0, k=12)[0]
    assert together[1].rows.tolist() == oracle(two.bundle, 0, k=12)[0]
    assert together[9].rows.tolist() == oracle(two.bundle, 1, ("gender",), k=12)[0]


def test_sessions_get_the_same_vector_alone_and_in_company(a_recommender):
    rng = np.random.default_rng(0)
    histories = [tuple(f"i{row}" for row in rng.choice(500, 1 + n % 40, replace=False)) for n in range(64)]
    queries = [SessionQuery(history, sensitive=MASKS[n % 8], k=20) for n, history in enumerate(histories)]

    async def story() -> None:
        async with a_recommender(items=500, dimensions=16, attributes=ATTRIBUTES) as desk:
            together = await asyncio.gather(*(desk.recommend(query, Purpose.SESSION) for query in queries))
            alone = [await desk.recommend(query, Purpose.SESSION) for query in queries]

            assert list(map(listed, together)) == list(map(listed, alone))
            assert len(await desk.logged(purposes=(Purpose.SESSION,))) == 128

    asyncio.run(story())
