"""News between replicas: quick where Redis is there, missed otherwise, and then said to have been missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from service.events import Change, Events, Kind
from service.link import RedisLink

MISSED = Change(Kind.MISSED, 0)


class Replica:
    def __init__(self, link: RedisLink, on_change: Callable[[Change], None] | None) -> None:
        self.heard: list[Change] = []
        self.link = link
        self.events = Events(link, prefix="test:", on_change=on_change or self.heard.append)


@asynccontextmanager
async def a_replica(server, on_change: Callable[[Change], None] | None = None) -> AsyncIterator[Replica]:
    link = RedisLink(server.url, budget_s=0.5)
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
        kinds = [kind for kind in Kind if kind is not Kind.MISSED]

        for revision, kind in enumerate(kinds, 1):
            one.events.publish(kind, revision)

        told = {Change(kind, revision) for revision, kind in enumerate(kinds, 1)}
        await eventually(lambda: {*other.heard} == {MISSED} | told)
        other.events.publish(Kind.SEEN, 99)
        await eventually(lambda: one.heard == [MISSED, Change(Kind.SEEN, 99)])
        assert one.events.trouble is other.events.trouble is None


async def test_of_many_changes_that_wait_the_last_one_is_sent(redis_server, eventually):
    async with a_replica(redis_server) as one, a_replica(redis_server) as other:
        await eventually(lambda: one.heard == other.heard == [MISSED])

        for revision in range(1, 1001):
            one.events.publish(Kind.SEEN, revision)

        await eventually(lambda: Change(Kind.SEEN, 1000) in other.heard)
        assert len(other.heard) <= 3


async def test_a_killed_redis_is_listened_to_again_and_what_was_missed_is_said(redis_server, eventually):
    async with a_replica(redis_server) as one, a_replica(redis_server) as other:
        await eventually(lambda: one.heard == other.heard == [MISSED])

        redis_server.kill()
        await eventually(lambda: one.events.trouble is not None)
        one.events.publish(Kind.SEEN, 1)
        await asyncio.sleep(0.5)
        redis_server.start()

        await eventually(lambda: one.heard == other.heard == [MISSED, MISSED], 5.0)
        await eventually(lambda: one.link.is_up)
        one.events.publish(Kind.SEEN, 2)
        await eventually(lambda: other.heard[-1] == Change(Kind.SEEN, 2))


async def test_a_redis_that_hangs_is_noticed_and_what_was_missed_is_said(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])

        redis_server.freeze()
        await eventually(lambda: one.events.trouble is not None, 5.0)
        redis_server.thaw()

        await eventually(lambda: one.heard == [MISSED, MISSED], 5.0)


async def test_silence_is_no_trouble(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])

        await asyncio.sleep(3)

        assert one.heard == [MISSED]
        assert one.events.trouble is None


async def test_strange_messages_are_ignored_and_later_kinds_only_make_one_look(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])

        for message in (b"", b"\xff\0", b"hello", b"0" * 16 + b" seen -1", b"0" * 16 + b" seen " + b"9" * 30):
            redis_server.ask("PUBLISH", "test:changes:1", message)
        redis_server.ask("PUBLISH", "test:changes:1", b"0" * 16 + b" weather 5")
        redis_server.ask("PUBLISH", "test:changes:1", b"0" * 16 + b" hidden 6")

        await eventually(lambda: one.heard == [MISSED, MISSED, Change(Kind.HIDDEN, 6)])


async def test_a_listener_that_fails_is_told_the_next_change_all_the_same(redis_server, eventually):
    calls = []

    def fail(change: Change) -> None:
        calls.append(change)
        raise RuntimeError("a bug")

    async with a_replica(redis_server, fail) as one, a_replica(redis_server) as other:
        await eventually(lambda: calls == other.heard == [MISSED])
        other.events.publish(Kind.MODEL, 1)
        await eventually(lambda: len(calls) == 2)
        other.events.publish(Kind.MODEL, 2)
        await eventually(lambda: len(calls) == 3)
        assert one.events.trouble is None


async def test_a_message_names_no_user(redis_server, eventually):
    async with a_replica(redis_server) as one:
        await eventually(lambda: one.heard == [MISSED])
        async with one.link.client.pubsub() as channel:
            await channel.subscribe("test:changes:1")
            await channel.get_message(timeout=2)
            one.events.publish(Kind.REQUIREMENT, 12)
            message = await channel.get_message(timeout=2)

    assert message is not None
    assert message["data"].decode().split(" ", 1)[1] == "requirement 12"
    assert len(message["data"]) == 16 + len(" requirement 12")
