"""What one replica stores, another knows at once where Redis carries the news, else in half a second."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from service.store import put_requirement

pytestmark = [pytest.mark.anyio, pytest.mark.debian]


async def test_a_change_is_known_to_the_other_replica_before_it_would_have_looked(
    a_recommender, a_bundle_folder, redis_server, ready_postgres, eventually, monkeypatch
):
    monkeypatch.setattr("service.store.writer.BEAT_S", 3600.0)
    folder = a_bundle_folder()
    shared = {"database_url": SecretStr(ready_postgres), "redis_url": SecretStr(redis_server.url)}
    shared["redis_timeout_ms"] = 1000
    async with (
        a_recommender(settings=shared, folder=folder) as one,
        a_recommender(settings=shared, folder=folder) as other,
    ):
        await eventually(lambda: not one.runtime.health.degraded and not other.runtime.health.degraded)
        for number in range(9):
            user = f"u{number}"
            await one.store.change(put_requirement, user, ("gender",))
            heard = lambda user=user: other.store.known.user(user).requirement == ("gender",)  # noqa: E731
            await eventually(heard)


async def test_without_redis_it_is_known_at_the_next_beat(
    a_recommender, a_bundle_folder, redis_server, ready_postgres, eventually
):
    folder = a_bundle_folder()
    shared = {"database_url": SecretStr(ready_postgres), "redis_url": SecretStr(redis_server.url)}
    redis_server.kill()
    async with (
        a_recommender(settings=shared, folder=folder) as one,
        a_recommender(settings=shared, folder=folder) as other,
    ):
        assert {*one.runtime.health.degraded} == {"redis", "news"}
        one.runtime.health.check_ready()
        await one.store.change(put_requirement, "u1", ("gender",))
        await eventually(lambda: other.store.known.user("u1").requirement == ("gender",))
