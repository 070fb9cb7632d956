"""Caches: the same request finds its answer, any other none; bounded, and without Redis nothing but slower."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cache import AnswerKey, CachedAnswer, MemoryCache, NoCache, RedisCache, open_cache
from service.cache.memory import OVERHEAD_BYTES
from service.cache.value import pack, unpack
from service.errors import StartError
from service.redis_client import RedisClient

SECRET = "sixteen letters or more"
KEY = AnswerKey("ab" * 32, "recommend", "u1", (True, False), (10, True, ("i7",), ()), None, None, 0, 0)
OTHER = {
    "content_hash": "cd" * 32,
    "route": "session",
    "user": "u2",
    "mask": (False, True),
    "options": (10, True, ("i8",), ()),
    "fallback": "popular",
    "after": 0,
    "user_revision": 1,
    "hidden_revision": 1,
    "balance": "uniform 0.5 ",
}
ANSWER = CachedAnswer(np.array([5, 0, 2_000_000], np.int32), np.array([0.25, -0.5, -1e-6]))
TEXTS = st.text(max_size=4)
NAMES = st.lists(TEXTS, max_size=3).map(tuple)
KEYS = st.builds(
    AnswerKey,
    content_hash=TEXTS,
    route=TEXTS,
    user=TEXTS,
    mask=st.lists(st.booleans(), max_size=3).map(tuple),
    options=st.tuples(st.integers(1, 3), st.booleans(), NAMES, NAMES),
    fallback=st.none() | TEXTS,
    after=st.none() | st.integers(0, 3),
    user_revision=st.integers(0, 3),
    hidden_revision=st.integers(0, 3),
    balance=st.none() | TEXTS,
)


def same(found: CachedAnswer | None, answer: CachedAnswer = ANSWER) -> bool:
    if found is None or found.rows.tolist() != answer.rows.tolist():
        return False
    if answer.scores is None or found.scores is None:
        return answer.scores is found.scores
    return found.scores.tolist() == answer.scores.tolist() and found.divergence == answer.divergence


def means(key: AnswerKey) -> tuple[object, ...]:
    """The request, with the order and the repetitions that say nothing taken out."""
    plain = [tuple(sorted({*option})) if isinstance(option, tuple) else option for option in key.options]
    return tuple(key._replace(options=tuple(plain)))


class Outcomes(Counter[str]):
    def __call__(self, outcome: str) -> None:
        self[outcome] += 1


def a_memory_cache(**limits: float) -> tuple[MemoryCache, Outcomes]:
    outcomes = Outcomes()
    options = {"ttl_s": 60, "max_entries": 100, "max_bytes": 1 << 20} | limits
    return MemoryCache(observe=outcomes, **options), outcomes


@asynccontextmanager
async def a_redis_cache(
    server, *, ttl_s: float = 60, secret: str | None = SECRET, **link: float
) -> AsyncIterator[tuple[RedisCache, RedisClient, Outcomes]]:
    outcomes = Outcomes()
    # A generous budget where it is not what is tested: the machine may be busy.
    redis = RedisClient(server.url, **{"budget_s": 0.5} | link)
    await redis.start()
    cache = RedisCache(redis, prefix="test:", secret=secret, ttl_s=ttl_s, observe=outcomes)
    try:
        yield cache, redis, outcomes
    finally:
        await cache.close()
        await redis.close()


async def stored(cache: RedisCache, key: AnswerKey = KEY, answer: CachedAnswer = ANSWER) -> None:
    cache.put(key, answer)
    await cache.close()


# Keys and values


def test_the_other_values_name_every_part_of_a_key():
    assert OTHER.keys() == {*AnswerKey._fields}


@given(KEYS, KEYS)
def test_keys_have_the_same_digest_exactly_where_they_mean_the_same(one, other):
    assert (one.digest() == other.digest()) == (means(one) == means(other))


@given(KEYS, st.sampled_from(sorted(OTHER)), KEYS)
def test_a_key_with_one_part_from_another_key_differs_exactly_where_that_part_does(one, part, other):
    mixed = one._replace(**{part: getattr(other, part)})

    assert (one.digest() == mixed.digest()) == (means(one) == means(mixed))


def test_order_and_repetition_of_exclusions_do_not_matter():
    one = KEY._replace(options=(10, True, ("a", "b", "a"), ("x", "y")))
    other = KEY._replace(options=(10, True, ("b", "a"), ("y", "x", "x")))

    assert one.digest() == other.digest()


def test_digests_differ_with_the_secret():
    assert len({KEY.digest(), KEY.digest(b"one"), KEY.digest(b"other")}) == 3


@given(st.lists(st.integers(0, 2**31 - 1), max_size=50), st.booleans())
def test_an_answer_survives_packing(rows, scored):
    answer = CachedAnswer(np.array(rows, np.int32), np.arange(len(rows)) / 7 if scored else None)

    found = unpack(pack(answer))

    assert same(found, answer)


@given(st.binary(max_size=64))
def test_reading_any_bytes_gives_an_answer_that_packs_to_them_or_nothing(body):
    found = unpack(body)

    assert found is None or pack(found) == body


@pytest.mark.parametrize("cut", [0, 1, 5, 6, 7, -1])
def test_a_cut_answer_is_none(cut):
    assert unpack(pack(ANSWER)[:cut]) is None


# In this process


@pytest.mark.anyio
@pytest.mark.parametrize("part", sorted(OTHER))
async def test_memory_finds_the_same_key_and_none_that_differs_in_one_part(part):
    cache, outcomes = a_memory_cache()
    cache.put(KEY, ANSWER)

    assert same(await cache.get(KEY))
    assert await cache.get(KEY._replace(**{part: OTHER[part]})) is None
    assert outcomes == {"stored": 1, "hit": 1, "miss": 1}


@pytest.mark.anyio
async def test_memory_keeps_the_most_recently_used_entries():
    cache, _ = a_memory_cache(max_entries=3)
    keys = [KEY._replace(user=f"u{n}") for n in range(4)]
    for key in keys[:3]:
        cache.put(key, ANSWER)
    await cache.get(keys[0])

    cache.put(keys[3], ANSWER)

    assert len(cache) == 3
    assert [same(await cache.get(key)) for key in keys] == [True, False, True, True]


@pytest.mark.anyio
async def test_memory_keeps_no_more_bytes_than_allowed_and_counts_them_right():
    each = len(pack(ANSWER)) + OVERHEAD_BYTES
    cache, outcomes = a_memory_cache(max_bytes=5 * each)

    for n in range(50):
        cache.put(KEY._replace(user=f"u{n % 7}"), ANSWER)
        assert cache.size_bytes == len(cache) * each <= 5 * each

    assert len(cache) == 5
    assert outcomes["stored"] == 50


@pytest.mark.anyio
async def test_an_answer_larger_than_the_memory_is_dropped_and_the_old_one_with_it():
    cache, outcomes = a_memory_cache(max_bytes=OVERHEAD_BYTES + 100)
    cache.put(KEY, ANSWER)

    cache.put(KEY, CachedAnswer(np.zeros(1000, np.int32)))

    assert await cache.get(KEY) is None
    assert (len(cache), cache.size_bytes, outcomes["dropped"]) == (0, 0, 1)


@pytest.mark.anyio
async def test_memory_forgets_after_its_time():
    cache, outcomes = a_memory_cache(ttl_s=0.05)
    cache.put(KEY, ANSWER)
    assert same(await cache.get(KEY))

    await asyncio.sleep(0.06)

    assert await cache.get(KEY) is None
    assert (len(cache), cache.size_bytes, outcomes["miss"]) == (0, 0, 1)


@pytest.mark.anyio
async def test_what_comes_out_of_memory_cannot_be_changed():
    cache, _ = a_memory_cache()
    cache.put(KEY, ANSWER)

    found = await cache.get(KEY)

    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found.rows[0] = 1


# In Redis


@pytest.mark.anyio
@pytest.mark.debian
@pytest.mark.parametrize("part", sorted(OTHER))
async def test_redis_finds_the_same_key_and_none_that_differs_in_one_part(redis_server, part):
    async with a_redis_cache(redis_server) as (cache, _, outcomes):
        await stored(cache)

        assert same(await cache.get(KEY))
        assert await cache.get(KEY._replace(**{part: OTHER[part]})) is None
        assert outcomes == {"stored": 1, "hit": 1, "miss": 1}
        assert cache.trouble is None


@pytest.mark.anyio
@pytest.mark.debian
async def test_replicas_share_answers_where_they_share_the_secret(redis_server):
    async with (
        a_redis_cache(redis_server) as (one, _, _),
        a_redis_cache(redis_server) as (other, _, _),
        a_redis_cache(redis_server, secret=SECRET + "!") as (stranger, _, _),
    ):
        await stored(one)

        assert same(await other.get(KEY))
        assert await stranger.get(KEY) is None


@pytest.mark.anyio
@pytest.mark.debian
async def test_names_in_redis_have_the_prefix_a_time_to_live_and_no_user(redis_server):
    async with a_redis_cache(redis_server, ttl_s=40) as (cache, redis, _):
        await stored(cache, KEY._replace(user="somebody@example.org"))

        names = await redis.client.keys("*")
        left_ms = await redis.client.pttl(names[0])
        value = await redis.client.get(names[0])

    assert len(names) == 1
    assert names[0].startswith(b"test:answer:1:")
    assert b"somebody" not in names[0] + value
    assert 30_000 < left_ms <= 40_000


@pytest.mark.anyio
@pytest.mark.debian
async def test_redis_forgets_after_its_time(redis_server):
    async with a_redis_cache(redis_server, ttl_s=0.05) as (cache, _, _):
        await stored(cache)
        await asyncio.sleep(0.1)

        assert await cache.get(KEY) is None


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_value_with_any_byte_changed_cut_or_of_another_key_is_a_miss(redis_server):
    other = KEY._replace(user="u2")
    async with a_redis_cache(redis_server) as (cache, redis, outcomes):
        await stored(cache)
        (name,) = await redis.client.keys("*")
        value = await redis.client.get(name)
        wrong = [value[:n] + bytes([value[n] ^ 1]) + value[n + 1 :] for n in range(len(value))]
        wrong += [b"", value[:-1], value + b"\0", b"x" * 5000]
        for one in wrong:
            await redis.client.set(name, one)
            assert await cache.get(KEY) is None
        assert outcomes["damaged"] == len(wrong)

        await stored(cache, other)
        (second,) = {*await redis.client.keys("*")} - {name}
        await redis.client.set(second, value)
        assert await cache.get(other) is None

        await redis.client.delete(name)
        await redis.client.lpush(name, b"no string at all")
        assert await cache.get(KEY) is None
        assert cache.trouble is not None
        assert cache.trouble.startswith("Redis refuses: ResponseError: WRONGTYPE")


@pytest.mark.anyio
@pytest.mark.debian
async def test_many_puts_are_written_behind_the_requests_back_and_too_many_are_dropped(redis_server):
    keys = [KEY._replace(user=f"u{n}") for n in range(1500)]
    async with a_redis_cache(redis_server) as (cache, _, outcomes):
        for key in keys:
            cache.put(key, ANSWER)
        await cache.close()

        assert outcomes == {"stored": 1024, "dropped": 476}
        assert same(await cache.get(keys[1023]))
        assert await cache.get(keys[1024]) is None


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_full_redis_refuses_new_answers_and_still_gives_old_ones(redis_server, eventually):
    async with a_redis_cache(redis_server) as (cache, redis, outcomes):
        await stored(cache)
        await redis.client.config_set("maxmemory", "1")
        await stored(cache, KEY._replace(user="u2"))

        assert outcomes["dropped"] == 1
        assert "OutOfMemoryError" in (cache.trouble or "")
        assert same(await cache.get(KEY))
        assert redis.is_up


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_killed_redis_is_done_without_and_picked_up_again_when_it_is_back(redis_server, eventually):
    async with a_redis_cache(redis_server) as (cache, _, outcomes):
        await stored(cache)
        await asyncio.gather(*(cache.get(KEY) for _ in range(20)))  # many connections

        redis_server.kill()
        for _ in range(50):
            assert await cache.get(KEY) is None
            cache.put(KEY, ANSWER)
        assert cache.trouble is not None
        assert cache.trouble.startswith("Redis is lost: ")
        assert outcomes["error"] == 50

        await asyncio.sleep(1.5)  # by now it looks seldom
        redis_server.start()
        await eventually(lambda: cache.trouble is None)

        assert await cache.get(KEY) is None  # it has forgotten
        await stored(cache)
        assert same(await cache.get(KEY))


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_redis_that_restarts_between_two_requests_costs_at_most_a_moment(redis_server, eventually):
    async with a_redis_cache(redis_server) as (cache, _, _):
        await asyncio.gather(*(cache.get(KEY) for _ in range(20)))
        redis_server.kill()
        redis_server.start()

        await cache.get(KEY)
        await eventually(lambda: cache.trouble is None)
        await stored(cache)

        assert same(await cache.get(KEY))


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_redis_that_hangs_costs_its_budget_a_few_times_and_then_nothing(redis_server, eventually):
    async with a_redis_cache(redis_server, budget_s=0.05) as (cache, redis, _):
        redis_server.freeze()
        asked = []
        for _ in range(10):
            asked.append(redis.is_up)
            assert await cache.get(KEY) is None
        assert asked == [True] * 3 + [False] * 7
        assert "took longer than 50 ms" in (cache.trouble or "")

        await asyncio.sleep(1.0)
        redis_server.thaw()
        await eventually(lambda: cache.trouble is None)


@pytest.mark.anyio
@pytest.mark.debian
async def test_after_a_loss_every_connection_is_a_new_one(redis_server, eventually):
    async with a_redis_cache(redis_server) as (cache, redis, _):
        await asyncio.gather(*(cache.get(KEY) for _ in range(20)))
        before = {client["id"] for client in await redis.client.client_list()}
        redis_server.freeze()
        while redis.is_up:
            await cache.get(KEY)
        await asyncio.sleep(0.2)
        redis_server.thaw()
        await eventually(lambda: redis.is_up)

        after = {client["id"] for client in await redis.client.client_list()}

    assert len(before) > 5
    assert not after & before


@pytest.mark.anyio
@pytest.mark.debian
async def test_late_replies_never_reach_another_request(redis_server, eventually):
    keys = [KEY._replace(user=f"u{n}") for n in range(30)]
    answers = [CachedAnswer(np.array([n], np.int32)) for n in range(30)]
    async with a_redis_cache(redis_server, budget_s=0.03) as (cache, redis, outcomes):
        for key, answer in zip(keys, answers, strict=True):
            cache.put(key, answer)
        await cache.close()
        for _ in range(5):
            redis_server.freeze()
            await asyncio.gather(*(cache.get(key) for key in keys))
            redis_server.thaw()
            await eventually(lambda: redis.is_up)
            found = await asyncio.gather(*(cache.get(key) for key in keys))
            assert all(one is None or same(one, answer) for one, answer in zip(found, answers, strict=True))

    assert outcomes["damaged"] == 0


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_request_that_is_cancelled_leaves_no_reply_for_the_next_one(redis_server):
    async with a_redis_cache(redis_server) as (cache, redis, outcomes):
        await stored(cache)
        for n in range(200):
            lookup = asyncio.ensure_future(cache.get(KEY))
            for _ in range(n % 8):
                await asyncio.sleep(0)
            lookup.cancel()
            assert await cache.get(KEY._replace(user="u2")) is None

        assert same(await cache.get(KEY))
        assert outcomes["damaged"] == 0
        assert redis.is_up


@pytest.mark.anyio
@pytest.mark.debian
async def test_more_lookups_than_connections_wait_for_one(redis_server, monkeypatch):
    monkeypatch.setattr("service.redis_client.REACH_S", 10.0)  # dozens connect at once, and the machine may be busy
    async with a_redis_cache(redis_server, budget_s=10) as (cache, redis, outcomes):
        await asyncio.gather(*(cache.get(KEY) for _ in range(500)))
        clients = (await redis.client.info("clients"))["connected_clients"]

    assert outcomes == {"miss": 500}
    assert clients <= 64


@pytest.mark.anyio
async def test_a_redis_that_was_never_there_does_not_keep_the_service_from_starting():
    redis = RedisClient("redis://127.0.0.1:1/0")
    await redis.start()
    cache = RedisCache(redis, prefix="test:", secret=None, ttl_s=60)

    cache.put(KEY, ANSWER)

    assert await cache.get(KEY) is None
    assert "ConnectionError" in (cache.trouble or "")
    await cache.close()
    await redis.close()
    assert await cache.get(KEY) is None


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_wrong_password_is_trouble_that_does_not_repeat_it(redis_server):
    redis_server.kill()
    redis_server.start("--requirepass", "right")
    redis = RedisClient(redis_server.url.replace("//", "//:hunter2@"))
    await redis.start()

    assert not redis.is_up
    assert "AuthenticationError" in (redis.trouble or "")
    assert "hunter2" not in (redis.trouble or "")
    await redis.close()


@pytest.mark.anyio
@pytest.mark.debian
async def test_while_redis_is_lost_one_task_alone_looks_for_it_and_seldom(redis_server, eventually):
    async with a_redis_cache(redis_server) as (cache, redis, _):
        redis_server.kill()
        await cache.get(KEY)
        looks = 0
        look = redis._look

        async def counted() -> str | None:
            nonlocal looks
            looks += 1
            return await look()

        redis._look = counted  # type: ignore[method-assign]
        until = time.monotonic() + 2
        while time.monotonic() < until:
            await asyncio.gather(*(cache.get(KEY) for _ in range(100)))
            await asyncio.sleep(0.01)

        assert 2 <= looks <= 12


@pytest.mark.parametrize(
    "url", ["http://localhost", "localhost:6379", "redis://localhost:port", "redis://:hunter2@h?x=1"]
)
def test_a_url_that_cannot_be_refuses_the_start_and_is_not_repeated(url):
    with pytest.raises(StartError, match="EVENHAND_REDIS_URL") as refused:
        RedisClient(url)

    assert "hunter2" not in str(refused.value)


# What the settings ask for


@pytest.mark.anyio
async def test_the_settings_choose_the_cache():
    rest = {"prefix": "test:", "secret": None, "ttl_s": 60, "max_entries": 9, "max_bytes": 9999, "observe": Outcomes()}
    off = open_cache("off", link=None, **rest)
    off.put(KEY, ANSWER)

    assert isinstance(off, NoCache)
    assert await off.get(KEY) is None
    assert isinstance(open_cache("memory", link=None, **rest), MemoryCache)
    assert isinstance(open_cache("redis", link=RedisClient("redis://127.0.0.1:1/0"), **rest), RedisCache)
    with pytest.raises(StartError, match="EVENHAND_CACHE is 'redis', but EVENHAND_REDIS_URL is not set"):
        open_cache("redis", link=None, **rest)
