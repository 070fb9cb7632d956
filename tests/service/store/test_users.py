"""What is stored of a user, and its end."""

from __future__ import annotations

import asyncio

from service.store import (
    Erased,
    Interaction,
    add_interactions,
    erase_user,
    forget_idempotency,
    forget_interactions,
    interactions_page,
    lift_erasure,
    now_us,
    put_requirement,
    user_data,
)


def test_a_requirement_is_stored_changed_and_removed(open_store):
    async def story():
        async with open_store() as store:
            for attributes in (("gender", "age"), ("age",), ()):
                assert await store.change(put_requirement, "ripley", attributes)
                assert store.known.user("ripley").requirement == attributes
            assert await store.change(put_requirement, "ripley", None)
            assert store.known.user("ripley").requirement is None
            assert not await store.change(put_requirement, "ripley", None)
            assert not await store.change(put_requirement, "nobody", None)
        async with open_store() as store:
            assert store.known.user("ripley").requirement is None
            assert store.known.user("ripley").revision > 0

    asyncio.run(story())


def test_interactions_outlive_the_process_in_their_order(open_store):
    async def story():
        async with open_store() as store:
            await store.change(add_interactions, [Interaction("ripley", item, 1) for item in "cab"])
            await store.change(add_interactions, [Interaction("ripley", item, 2, 0.5) for item in "ad"])
        async with open_store() as store:
            assert store.known.user("ripley").items == tuple("cabd")
            page = await store.read(interactions_page, 0, 4)
            rest = await store.read(interactions_page, page[-1][0], 4)
            assert [one.item for _, one in page + rest] == list("cabad")
            assert rest[0][1] == Interaction("ripley", "d", 2, 0.5)

            assert await store.change(forget_interactions, now_us() + 1, 3) == 3
            assert await store.change(forget_interactions, now_us() + 1, 3) == 2
            assert await store.change(forget_idempotency) == 0

    asyncio.run(story())


def test_an_erased_user_leaves_nothing_and_gets_nothing_until_that_is_lifted(open_store, a_model, a_record, logged):
    async def story():
        async with open_store(pseudonym_secret="s3cret") as store:
            model = await a_model(store)
            await store.change(put_requirement, "ripley", ("age",))
            await store.change(add_interactions, [Interaction(user, "x", 1) for user in ("ripley", "ripley", "dallas")])
            for user in ("ripley", "dallas"):
                await store.log([a_record(model, user=user, user_revision=store.known.user(user).revision)])
            data = await store.read(user_data, "ripley", store.pseudonyms)
            assert (data.requirement, len(data.interactions), data.requests) == (("age",), 2, 1)

            erased = await store.change(erase_user, "ripley", store.pseudonyms)

            assert erased == Erased(requirement=True, interactions=2, requests=1)
            data = await store.read(user_data, "ripley", store.pseudonyms)
            assert (data.requirement, data.interactions, data.requests, data.suppressed) == (None, (), 0, True)
            assert len(await logged(store)) == 1
            assert await logged(store, user="ripley") == []
            taken = await store.change(add_interactions, [Interaction(user, "y", 1) for user in ("ripley", "dallas")])
            assert (taken.taken, taken.suppressed) == (1, 1)
            assert not await store.change(put_requirement, "ripley", ("age",))
            assert store.known.user("ripley").items == ()
            assert store.known.user("dallas").items == ("x", "y")

            assert await store.change(lift_erasure, "ripley")
            assert not await store.change(lift_erasure, "ripley")
            await store.change(add_interactions, [Interaction("ripley", "z", 1)])
            assert store.known.user("ripley").items == ("z",)
            assert not store.known.user("ripley").suppressed

    asyncio.run(story())


def test_an_answer_of_before_the_erasure_is_not_logged_after_it(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            record = a_record(model, user="ripley", user_revision=store.known.user("ripley").revision)
            await store.change(erase_user, "ripley", store.pseudonyms)

            assert await store.log([record]) == {0}
            assert await logged(store) == []

    asyncio.run(story())
