"""News between replicas: quick where Redis is there, missed otherwise, and then said to have been missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from service.redis_client import RedisClient
from service.replica_events import MISSED, ReplicaEvents


class Replica:
    def __init__(self, link: RedisClient, on_change: Callable[[int], None] | None) -> None:
        self.heard: list[int] = []
        self.link = link
        self.events = ReplicaEvents(link, prefix="test:", on_change=on_change or self.heard.append)


@asynccontextmanager
async def a_replica(server, on_change: Callable[[int], None] | None = None) -> AsyncIterator[Replica]:
    link = RedisClient(server.url, budget_s=0.5)
    await link.start()
    replica = Replica(link, on_change)
    replica.events.start()
    try:
        yield replica
    finally:
        await replica.events.close()
        await link.close()


pytestmark = [pytest.mark.anyio, pytest.mark.debian]


async def test_others_hear_of_a_change_and_its_author_does_not(redis_server, eventually):
    async with a_replica(redis_server) as one, a_replica(redis_server) as other:
        await eventually(lambda: one.heard == other.heard == [MISSED])

        one.events.publish(5)

        await eventually(lambda: other.heard == [MISSED, 5])
        other.events.publish(99)
        await eventually(lambda: one.heard == [MISSED, 99])
        assert one.events.trouble is other.events.trouble is None


async def test_of_many_changes_that_wait_the_last_one_is_sent(redis_server, eventually):
    async with a_replica(redis_server) as one, a_replica(redis_server) as other:
        await eventually(lambda: one.heard == other.heard == [MISSED])

        for revision in range(1, 1001):
            one.events.publish(revision)

        await eventually(lambda: 1000 in other.heard)
        assert len(other.heard) <= 3


async def test_a_killed_redis_is_listened_to_again_and_what_was_missed_is_said(redis_server, eventually):
    async with a_replica(redis_server) as one, a_replica(redis_server) as other:
        await eventually(lambda: one.heard == other.heard == [MISSED])

        redis_server.kill()
        await eventually(lambda: one.events.trouble is not None)
        one.events.publish(1)
        await asyncio.sleep(0.5)
        redis_server.start()

        await eventually(lambda: one.heard == other.heard == [MISSED, MISSED])
        await eventually(lambda: one.link.is_up)
        one.events.publish(2)
        await eventually(lambda: other.heard[-1] == 2)


async def test_a_redis_that_hangs_is_noticed_and_what_was_missed_is_said(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])

        redis_server.freeze()
        await eventually(lambda: one.events.trouble is not None)
        redis_server.thaw()

        await eventually(lambda: one.heard == [MISSED, MISSED])


async def test_silence_is_no_trouble(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])

        await asyncio.sleep(3)

        assert one.heard == [MISSED]
        assert one.events.trouble is None


async def test_strange_messages_are_ignored(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])

        for message in (b"", b"\xff\0", b"hello", b"0" * 16 + b" -1", b"0" * 16 + b" " + b"9" * 30, b"0" * 16 + b" 0"):
            redis_server.ask("PUBLISH", "test:changes:1", message)
        redis_server.ask("PUBLISH", "test:changes:1", b"0" * 16 + b" 6")

        await eventually(lambda: one.heard == [MISSED, 6])


async def test_a_listener_that_fails_is_told_the_next_change_all_the_same(redis_server, eventually):
    calls = []

    def fail(revision: int) -> None:
        calls.append(revision)
        raise RuntimeError("a bug")

    async with a_replica(redis_server, fail) as one, a_replica(redis_server) as other:
        await eventually(lambda: calls == other.heard == [MISSED])
        other.events.publish(1)
        await eventually(lambda: len(calls) == 2)
        other.events.publish(2)
        await eventually(lambda: len(calls) == 3)
        assert one.events.trouble is None


async def test_a_message_names_no_user(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])
        async with one.link.client.pubsub() as channel:
            await channel.subscribe("test:changes:1")
            await channel.get_message(timeout=2)
            one.events.publish(12)
            message = await channel.get_message(timeout=2)

    assert message is not None
    assert message["data"].decode().split(" ", 1)[1] == "12"
    assert len(message["data"]) == 16 + len(" 12")
