"""Two services on one PostgreSQL database: what one is told, the other does with its very next answer."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack

import pytest

from bundle import write_bundle
from service.commands import end_key, make_key
from service.store import Database, migrate


@pytest.fixture
def two(ready_postgres, an_app, run_app):
    """Starts two services, by their folders; clients of both."""

    def started(stack, *folders, **settings):
        async def enter():
            given = {"database_url": ready_postgres, **settings}
            return [await stack.enter_async_context(run_app(an_app(folder=one, settings=given))) for one in folders]

        return enter()

    return started


async def applied(http, user):
    answer = await http.get(f"/recommend?user={user}")
    assert answer.status_code == 200, answer.text
    return [one["attribute"] for one in answer.json()["sensitive"]["applied"]]


async def eventually(holds, within_s=60):
    for _ in range(int(within_s / 0.02)):
        if await holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came to hold")


def test_a_requirement_stored_here_is_applied_by_the_very_next_answer_there(two, a_bundle_folder):
    folder = a_bundle_folder()

    async def story():
        async with AsyncExitStack() as stack:
            here, there = await two(stack, folder, folder)
            for user in ("u0", "u1", "u2"):
                assert await applied(there, user) == []  # from the cache the next time
                for wanted in (["gender"], ["gender", "age"], []):
                    stored = await here.put(f"/users/{user}/requirement", json={"attributes": wanted})
                    assert stored.status_code == 200
                    assert await applied(there, user) == wanted
                    assert (await there.get(f"/users/{user}/requirement")).json() == stored.json()

    asyncio.run(story())


def test_interactions_hidden_items_and_erasure_are_heard_of_as_soon(two, a_bundle_folder):
    folder = a_bundle_folder()

    async def story():
        async with AsyncExitStack() as stack:
            here, there = await two(stack, folder, folder)

            async def items():
                return [one["item"] for one in (await there.get("/recommend?user=u0&k=12")).json()["items"]]

            everything = await items()
            await here.post("/interactions", json={"user": "u0", "item": everything[0]})
            assert await items() == everything[1:]
            await here.put(f"/items/{everything[1]}/hidden")
            assert await items() == everything[2:]
            await here.put("/users/u0/requirement", json={"attributes": ["age"]})
            await here.delete("/users/u0")
            await here.delete("/users/u0/suppression")

            async def is_known():  # a refusal writes nothing: it comes from what was heard within half a second
                return (await there.get("/recommend?user=u0")).status_code == 200

            await eventually(is_known, within_s=5)
            assert await applied(there, "u0") == []
            assert (await there.get("/users/u0/data")).json()["interactions"] == []

    asyncio.run(story())


def test_keys_are_known_and_ended_on_every_replica(two, a_bundle_folder, ready_postgres):
    folder = a_bundle_folder()
    secret = make_key(ready_postgres, "app", ["recommend"], None)
    headers = {"authorization": f"Bearer {secret}"}

    async def story():
        async with AsyncExitStack() as stack:
            both = await two(stack, folder, folder)
            for http in both:
                assert (await http.get("/attributes", headers=headers)).status_code == 200
            await asyncio.to_thread(end_key, ready_postgres, "app")
            for http in both:

                async def refused(http=http):
                    return (await http.get("/attributes", headers=headers)).status_code == 401

                await eventually(refused)

    asyncio.run(story())


def test_an_activation_is_followed_and_a_replica_that_cannot_says_so_and_serves_on(two, a_bundle_folder, tmp_path):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    apart = tmp_path / "apart" / "tiny"
    shutil.copytree(folder, apart / "1")

    async def story():
        async with AsyncExitStack() as stack:
            here, there, lacking = await two(stack, folder, folder, apart / "1")

            async def version(http):
                return (await http.get("/recommend?user=u0")).json()["model"]["version"]

            assert (await here.post("/models/2/activate")).status_code == 200

            async def followed():
                return await version(there) == "2"

            async def said():
                return "tiny/2 was activated" in ((await lacking.get("/models")).json()["trouble"] or "")

            await eventually(followed)
            await eventually(said)
            assert await version(lacking) == "1"
            ready = await lacking.get("/health/ready")
            assert (ready.status_code, "tiny/2" in ready.text) == (200, False)
            assert ready.json()["degraded"]["model"] == "another version was activated, and cannot be served here"
            assert (await there.get("/models")).json()["trouble"] is None

            shutil.copytree(folder.parent / "2", apart / "2")  # the files arrive late

            async def caught_up():
                return await version(lacking) == "2"

            await eventually(caught_up)
            assert (await lacking.get("/models")).json()["trouble"] is None

    asyncio.run(story())


def test_a_version_of_the_same_name_with_other_content_is_not_followed(two, a_bundle, a_bundle_folder, tmp_path):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    apart = tmp_path / "apart" / "tiny"
    shutil.copytree(folder, apart / "1")
    write_bundle(a_bundle(version="2", seed=3), apart.parent)

    async def story():
        async with AsyncExitStack() as stack:
            here, there = await two(stack, folder, apart / "1")
            await here.post("/models/2/activate")

            async def said():
                return "content hash" in ((await there.get("/models")).json()["trouble"] or "")

            await eventually(said)
            assert (await there.get("/recommend?user=u0")).json()["model"]["version"] == "1"

    asyncio.run(story())


def test_keys_need_the_schema_first(postgres, capsys):
    from service.__main__ import main

    url = postgres.empty_database()

    assert main(["keys", "create", "app", "--scopes", "recommend", "--url", url]) == 2
    assert "python -m service migrate" in capsys.readouterr().err
    assert main(["migrate", "--url", url]) == 0
    assert main(["keys", "create", "app", "--scopes", "recommend", "--url", url]) == 0
    assert main(["backup", "copy.db", "--url", url]) == 2
    assert "pg_dump" in capsys.readouterr().err
    database = Database(url)
    migrate(database)
    database.close()
