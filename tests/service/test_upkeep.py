"""What the running service tidies up, and what it says when it cannot."""

from __future__ import annotations

import asyncio

import pytest

from service.logs import make_logger
from service.recommend.queries import UserQuery
from service.store import Idempotency, Interaction, add_interactions, now_us
from service.upkeep import Upkeep

DAY_US = 86_400 * 1_000_000


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr("service.upkeep.EVERY_S", 0.02)


def upkeep_of(desk, gone, **limits):
    given = {"max_age_s": None, "max_rows": None, **limits}
    return Upkeep(desk.store, observe=gone.append, log=make_logger("error"), **given)


@pytest.mark.anyio
async def test_rows_beyond_the_limit_go_the_oldest_first_while_requests_are_answered(a_recommender, eventually):
    gone: list[int] = []
    async with a_recommender() as desk:
        for _ in range(12):
            await desk.recommend(UserQuery("u1"))
        before = [row.request_id for row in await desk.logged()]
        upkeep = upkeep_of(desk, gone, max_rows=5)

        upkeep.start()
        await eventually(lambda: sum(gone) >= 7)
        after = [row.request_id for row in await desk.logged()]
        await upkeep.close()

        assert after == before[-5:]
        assert sum(gone) == 7
        assert upkeep.trouble is None


@pytest.mark.anyio
async def test_without_limits_nothing_goes(a_recommender):
    gone: list[int] = []
    async with a_recommender() as desk:
        await desk.recommend(UserQuery("u1"))
        upkeep = upkeep_of(desk, gone)

        upkeep.start()
        await asyncio.sleep(0.2)
        await upkeep.close()

        assert len(await desk.logged()) == 1
        assert gone == []


@pytest.mark.anyio
async def test_idempotency_keys_are_forgotten_after_a_day_and_not_before(a_recommender, eventually):
    async with a_recommender() as desk:
        for name in ("old", "new"):
            posted = [Interaction("u1", "i1", now_us())]
            await desk.store.change(add_interactions, posted, Idempotency.of("app", name, b""))
        old = Idempotency.of("app", "old", b"").digest
        with desk.store.database.writing() as tx:
            tx.connection.exec_driver_sql(
                "UPDATE idempotency SET taken_us = taken_us - ? WHERE digest = ?", (2 * DAY_US, old)
            )

        def left() -> int:
            with desk.store.database.reading() as connection:
                return int(connection.exec_driver_sql("SELECT count(*) FROM idempotency").scalar_one())

        upkeep = upkeep_of(desk, [])
        upkeep.start()
        await eventually(lambda: left() == 1)
        await asyncio.sleep(0.1)
        await upkeep.close()

        assert left() == 1


@pytest.mark.anyio
async def test_a_round_that_fails_is_said_and_the_next_one_comes(a_recommender, eventually):
    gone: list[int] = []
    async with a_recommender() as desk:
        await desk.recommend(UserQuery("u1"))
        with desk.store.database.writing() as tx:
            tx.connection.exec_driver_sql(
                "CREATE TRIGGER full BEFORE DELETE ON request_log BEGIN SELECT RAISE(ABORT, 'full'); END"
            )
        upkeep = upkeep_of(desk, gone, max_age_s=0.001)

        upkeep.start()
        await eventually(lambda: upkeep.trouble is not None)
        with desk.store.database.writing() as tx:
            tx.connection.exec_driver_sql("DROP TRIGGER full")
        await eventually(lambda: sum(gone) == 1)
        await eventually(lambda: upkeep.trouble is None)
        await upkeep.close()


@pytest.mark.anyio
async def test_the_settings_say_what_is_kept(a_recommender, eventually):
    async with a_recommender(settings={"log_max_rows": 2}) as desk:
        for _ in range(5):
            await desk.recommend(UserQuery("u1"))

        await eventually(lambda: desk.runtime.metrics.registry.get_sample_value("evenhand_log_pruned_total") == 3)

        assert len(await desk.logged()) == 2
