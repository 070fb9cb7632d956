"""PostgreSQL and Redis that stop and start again under load."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from service.commands import make_key


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["crash", "fast stop"])
def test_without_postgresql_nothing_is_answered_unlogged_and_all_is_well_soon_after(
    postgres, ready_postgres, a_bundle_folder, a_service, logged, rounds, how
):
    service = a_service(a_bundle_folder(), database_url=ready_postgres, log_level="warning")

    async def story():
        async with service.loaded() as load:
            for _ in range(rounds(1, 5)):
                await load.goes_on()
                await asyncio.to_thread(postgres.stop, how)
                stopped = time.monotonic()
                await asyncio.sleep(1.5)
                starting = time.monotonic()
                await asyncio.to_thread(postgres.start)
                returned = time.monotonic()
                while not any(one.status == 200 and one.began > returned for one in load.answers):
                    assert time.monotonic() - returned < 60, "no answer since PostgreSQL is back"
                    await asyncio.sleep(0.01)
                between = [one for one in load.answers if stopped < one.began and one.ended < starting]
                assert between
                assert [one.asked for one in between if one.lists] == []
            await load.goes_on()
        return load

    load = asyncio.run(story())

    refused = [one for one in load.answers if one.status != 200]
    assert not load.broken
    assert {one.status for one in refused} == {503}
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    problems = [problem for one in load.answers for problem in one.problems]
    assert {(one["status"], one["code"]) for one in problems} == {(503, "store_unavailable")}
    ids = logged(ready_postgres)
    assert not set(load.lists) - set(ids)
    assert len(ids) == len(set(ids))


def test_redis_that_dies_hangs_and_returns_fails_no_request(redis_server, tmp_path, a_bundle_folder, a_service, rounds):
    url = f"sqlite:///{tmp_path}/store.db"
    key = make_key(url, "app", ["recommend"], None)
    settings = {"database_url": url, "redis_url": redis_server.url, "cache": "redis", "log_level": "warning"}
    settings["redis_timeout_ms"] = "100"  # the machine may be slower than Redis
    service = a_service(a_bundle_folder(), rate_limit="1000000/minute", **settings)
    changes = [redis_server.kill, redis_server.start, redis_server.freeze, redis_server.thaw]

    async def story():
        degraded = []
        async with service.loaded(authorization=f"Bearer {key}") as load:
            for _ in range(rounds(2, 10)):
                for change in changes:
                    await load.goes_on(0.5)
                    await asyncio.to_thread(change)
                    degraded.append("degraded" in (await service.ask("GET", "/health/ready")).json)
        healed = time.monotonic()
        while "degraded" in (await service.ask("GET", "/health/ready")).json:
            assert time.monotonic() - healed < 60, "Redis is not picked up again"
            await asyncio.sleep(0.05)
        redis_server.ask("FLUSHALL")
        assert (await service.ask("GET", "/popular", authorization=f"Bearer {key}")).status == 200
        return load, degraded

    load, degraded = asyncio.run(story())

    assert load.failed == []
    assert any(degraded)  # it was lost indeed
    assert redis_server.ask("DBSIZE") != b":0\r\n"  # and is used again
