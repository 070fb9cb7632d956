"""Rate limits: counted for all replicas where Redis is there, for each where it is not, never for none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.errors import RateLimitedError, StartError
from service.rate_limits import RateLimits, parse_rate
from service.redis_client import RedisClient


def limits(text: str, link: RedisClient | None = None) -> RateLimits:
    rate = parse_rate(text)
    assert rate is not None
    return RateLimits(rate, link, prefix="test:")


async def passed(one: RateLimits, times: int, key: str = "7") -> int:
    """How many of so many requests may pass."""
    count = 0
    for _ in range(times):
        try:
            await one.take(key)
            count += 1
        except RateLimitedError:
            pass
    return count


@asynccontextmanager
async def a_link(server, budget_s: float = 0.5) -> AsyncIterator[RedisClient]:
    link = RedisClient(server.url, budget_s=budget_s)
    await link.start()
    try:
        yield link
    finally:
        await link.close()


@pytest.mark.parametrize(
    ("text", "amount", "window_s"),
    [("600/minute", 600, 60), ("1/second", 1, 1), ("100/10 seconds", 100, 10), ("9/24 hours", 9, 86_400)],
)
def test_a_rate_is_a_number_and_a_window(text, amount, window_s):
    rate = parse_rate(text)

    assert rate is not None
    assert (rate.amount, rate.get_expiry()) == (amount, window_s)


def test_off_is_no_limit():
    assert parse_rate("off") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "600", "minute", "0/minute", "-1/minute", "1.5/second", "600/fortnight", "1/2 days", "1/month"),
        *("1/second;5/minute", "10000000/second", "1/0 seconds", "6OO/minute", "1/minute\n", "9" * 5000 + "/minute"),
    ],
)
def test_a_rate_that_is_none_refuses_the_start_with_an_example(text):
    with pytest.raises(StartError, match=r"EVENHAND_RATE_LIMIT is .*like '600/minute'") as refused:
        parse_rate(text)

    assert len(str(refused.value)) < 300


@pytest.mark.anyio
async def test_what_is_left_is_said_until_nothing_is():
    one = limits("3/minute")

    assert [(await one.take("7")).remaining for _ in range(3)] == [2, 1, 0]
    with pytest.raises(RateLimitedError) as refused:
        await one.take("7")
    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    assert refused.value.facts == {"limit": 3, "remaining": 0, "window_s": 60, "retry_after_s": 60}
    assert refused.value.headers == {"retry-after": "60"}


@pytest.mark.anyio
async def test_keys_are_counted_apart():
    one = limits("2/minute")

    assert [await passed(one, 5, key) for key in ("7", "8")] == [2, 2]


@pytest.mark.anyio
async def test_a_request_may_count_as_many():
    one = limits("10/minute")

    assert (await one.take("7", cost=8)).remaining == 2
    with pytest.raises(RateLimitedError):
        await one.take("7", cost=3)


@pytest.mark.anyio
@pytest.mark.debian
@pytest.mark.parametrize("shared", [False, True])
async def test_after_the_time_that_a_refusal_names_requests_pass_again_and_not_before(redis_server, shared):
    async with a_link(redis_server) as link:
        one = limits("2/2 seconds", link if shared else None)
        started = time.monotonic()
        assert await passed(one, 3) == 2
        with pytest.raises(RateLimitedError) as refused:
            await one.take("7")
        said = time.monotonic()

        await asyncio.sleep(1 - (time.monotonic() - started))
        assert await passed(one, 1) == 0
        await asyncio.sleep(refused.value.retry_after_s - (time.monotonic() - said))

        assert refused.value.retry_after_s in (2, 3)
        assert await passed(one, 3) == 2


@pytest.mark.anyio
@pytest.mark.debian
async def test_replicas_share_a_limit(redis_server):
    async with a_link(redis_server) as one, a_link(redis_server) as other:
        replicas = limits("10/minute", one), limits("10/minute", other)

        assert sum([await passed(replicas[n % 2], 1) for n in range(30)]) == 10


@pytest.mark.anyio
@pytest.mark.debian
async def test_two_processes_share_a_limit(redis_server):
    program = """
import asyncio, sys
from service.errors import RateLimitedError
from service.rate_limits import RateLimits, parse_rate
from service.redis_client import RedisClient

async def main():
    link = RedisClient(sys.argv[1], budget_s=5)
    await link.start()
    limits, passed = RateLimits(parse_rate("100/hour"), link, prefix="test:"), 0
    for _ in range(80):
        try:
            await limits.take("7")
            passed += 1
        except RateLimitedError:
            pass
    await link.close()
    print(passed)

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, redis_server.url]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(counts) == 100


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_key_over_the_limit_costs_no_round_trip(redis_server):
    async with a_link(redis_server) as link:
        one = limits("1/minute", link)
        await passed(one, 2)
        before = (await link.client.info("stats"))["total_commands_processed"]

        assert await passed(one, 100) == 0

        assert (await link.client.info("stats"))["total_commands_processed"] <= before + 2


@pytest.mark.anyio
@pytest.mark.debian
@pytest.mark.parametrize("how", ["kill", "freeze", "full"])
async def test_without_redis_each_process_counts_on_its_own_and_no_request_fails(redis_server, how, eventually):
    async with a_link(redis_server, budget_s=0.1) as link:
        one = limits("5/minute", link)
        await eventually(lambda: link.is_up)
        assert await passed(one, 2) == 2
        if how == "full":
            await link.client.config_set("maxmemory", "1")
        else:
            getattr(redis_server, how)()

        assert await passed(one, 20) == 5
        assert one.trouble is not None


@pytest.mark.anyio
@pytest.mark.debian
async def test_a_redis_that_is_back_counts_again(redis_server, eventually):
    async with a_link(redis_server) as link:
        one = limits("5/minute", link)
        redis_server.kill()
        await passed(one, 3)
        redis_server.start()
        await eventually(lambda: link.is_up)

        assert await passed(one, 1, "8") == 1

        assert int(await link.client.dbsize()) == 1


@pytest.mark.anyio
async def test_without_a_redis_there_is_no_trouble():
    one = limits("5/minute")

    assert await passed(one, 10) == 5
    assert one.trouble is None


@pytest.mark.anyio
@pytest.mark.parametrize("jump_s", [-3600, 3600])
async def test_a_clock_that_is_set_anew_neither_locks_a_key_out_nor_opens_a_window(monkeypatch, jump_s):
    one, real = limits("1/2 seconds"), time.time
    await one.take("7")
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)

    with pytest.raises(RateLimitedError) as refused:
        await one.take("7")

    assert refused.value.retry_after_s <= 2
    await asyncio.sleep(2.1)
    assert await passed(one, 2) == 1
