"""Many writes, one transaction; what fails, fails alone; what is stale is not written."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time

import pytest

from service.errors import QueueFullError, StoppingError
from service.store import (
    Idempotency,
    IdempotencyConflictError,
    Interaction,
    StoreUnavailableError,
    UnstorableError,
    add_interactions,
    hide_item,
    put_requirement,
)
from service.thread_queue import Queued, Waiter


def test_concurrent_writes_share_commits(open_store, a_model, a_record, logged):
    commits: list[int] = []

    async def story():
        async with open_store(observe=lambda writes, _: commits.append(writes)) as store:
            model = await a_model(store)
            commits.clear()
            records = [a_record(model) for _ in range(500)]

            stale = await asyncio.gather(*(store.log([record]) for record in records))

            assert not any(stale)
            assert sorted(row.request_id for row in await logged(store)) == sorted(r.request_id for r in records)

    asyncio.run(story())
    assert sum(commits) == 500
    assert len(commits) <= 20


def test_a_write_that_finds_the_writer_idle_does_not_wait_for_others(open_store, a_model, a_record):
    commits: list[int] = []

    async def story():
        async with open_store(observe=lambda writes, _: commits.append(writes)) as store:
            model = await a_model(store)
            for _ in range(5):
                await asyncio.wait_for(store.log([a_record(model)]), 0.4)  # no beat, no timer in between

    asyncio.run(story())
    assert commits == [1] * 6


def test_a_stored_requirement_makes_answers_without_it_stale(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            old = store.known.user("ripley")

            assert await store.change(put_requirement, "ripley", ("gender",))
            late = a_record(model, user="ripley", user_revision=old.revision)
            other = a_record(model, user="dallas")
            assert await store.log([late, other]) == {0}

            new = store.known.user("ripley")
            assert new.requirement == ("gender",)
            again = a_record(model, user="ripley", user_revision=new.revision)
            assert await store.log([again]) == frozenset()
            assert [row.request_id for row in await logged(store)] == [other.request_id, again.request_id]

    asyncio.run(story())


def test_a_change_in_the_same_group_makes_an_answer_stale(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            record = a_record(model, user="ripley")

            done = await asyncio.gather(
                store.log([record]), store.change(add_interactions, [Interaction("ripley", "alien", 1)])
            )

            # Whichever of the two groups the record came into: written before the change, or not at all.
            written = [row.request_id for row in await logged(store)]
            assert written == ([] if done[0] else [record.request_id])
            assert await store.log([a_record(model, user="ripley")]) == {0}

    asyncio.run(story())


def test_a_hidden_item_makes_every_answer_of_before_stale(open_store, a_model, a_record):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            before = store.known.hidden

            assert await store.change(hide_item, "alien", hidden=True)
            assert not await store.change(hide_item, "alien", hidden=True)

            assert store.known.hidden.items == {"alien"}
            assert await store.log([a_record(model, hidden_revision=before.revision)]) == {0}
            assert await store.log([a_record(model, hidden_revision=store.known.hidden.revision)]) == frozenset()

    asyncio.run(story())


def test_a_row_that_cannot_be_stored_fails_none_of_its_neighbours(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            good = [a_record(model, user=f"user {i}") for i in range(20)]
            bad = a_record(model, user="a surrogate \ud800")

            done = await asyncio.gather(
                *(store.log([record]) for record in [*good[:10], bad, *good[10:]]), return_exceptions=True
            )

            assert isinstance(done.pop(10), UnstorableError)
            assert done == [frozenset()] * 20
            assert {row.request_id for row in await logged(store)} == {record.request_id for record in good}

    asyncio.run(story())


def test_a_set_of_records_is_written_whole_or_not_at_all(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)

            with pytest.raises(UnstorableError):
                await store.log([a_record(model), a_record(model, user="\ud800"), a_record(model)])

            assert await logged(store) == []

    asyncio.run(story())


def test_a_request_id_is_logged_once(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            one = secrets.token_hex(16)

            done = await asyncio.gather(
                *(store.log([a_record(model, request_id=one)]) for _ in range(3)), return_exceptions=True
            )

            assert done.count(frozenset()) == 1
            assert [row.request_id for row in await logged(store)] == [one]

    asyncio.run(story())


def test_a_change_that_raises_is_undone_alone(open_store, a_model, a_record, logged):
    def half(tx):
        put_requirement(tx, "ripley", ("gender",))
        raise ArithmeticError("thirteen")

    async def story():
        async with open_store() as store:
            model = await a_model(store)

            done = await asyncio.gather(
                store.change(half),
                store.change(put_requirement, "dallas", ("age",)),
                store.log([a_record(model, user="kane")]),
                return_exceptions=True,
            )

            assert isinstance(done[0], ArithmeticError)
            assert done[1:] == [True, frozenset()]
            assert store.known.user("ripley").requirement is None
            assert store.known.user("dallas").requirement == ("age",)
            assert len(await logged(store)) == 1

    asyncio.run(story())


def test_a_repeated_post_is_taken_once(open_store):
    posted = [Interaction("ripley", "alien", 1, 4.5), Interaction("ripley", "aliens", 2)]
    key = Idempotency.of("app", "one", b"body")

    async def story():
        async with open_store() as store:
            first, *others = await asyncio.gather(*(store.change(add_interactions, posted, key) for _ in range(4)))

            assert (first.taken, first.repeated) == (2, False)
            assert [(other.taken, other.repeated) for other in others] == [(2, True)] * 3
            with pytest.raises(IdempotencyConflictError):
                await store.change(add_interactions, posted, Idempotency.of("app", "one", b"another body"))
            elsewhere = await store.change(add_interactions, posted, Idempotency.of("else", "one", b"another body"))
            assert not elsewhere.repeated
            assert store.known.user("ripley").items == ("alien", "aliens")

    asyncio.run(story())


class Blocked:
    """A change that keeps the writer busy until told."""

    def __init__(self):
        self.entered = threading.Event()
        self.gate = threading.Event()

    def __call__(self, tx):
        self.entered.set()
        assert self.gate.wait(10)


def test_a_full_queue_refuses_and_what_waits_is_written(open_store, a_model, a_record, logged):
    async def story():
        blocked = Blocked()
        async with open_store(queue_size=3) as store:
            model = await a_model(store)
            first = asyncio.create_task(store.change(blocked))
            await asyncio.to_thread(blocked.entered.wait)
            waiting = [asyncio.create_task(store.log([a_record(model)])) for _ in range(3)]
            await asyncio.sleep(0)

            with pytest.raises(QueueFullError):
                await store.log([a_record(model)])
            blocked.gate.set()

            await asyncio.gather(first, *waiting)
            assert len(await logged(store)) == 3

    asyncio.run(story())


def test_a_write_that_takes_too_long_fails_and_a_cancelled_one_is_not_written(open_store, a_model, a_record, logged):
    async def story():
        blocked = Blocked()
        async with open_store(deadline_s=0.5) as store:
            model = await a_model(store)
            first = asyncio.create_task(store.change(blocked))
            await asyncio.to_thread(blocked.entered.wait)
            gone = asyncio.create_task(store.log([a_record(model)]))
            await asyncio.sleep(0)
            gone.cancel()

            with pytest.raises(StoreUnavailableError):
                await store.log([a_record(model)])
            with pytest.raises(StoreUnavailableError):
                await first
            blocked.gate.set()

            last = a_record(model)
            assert await store.log([last]) == frozenset()
            assert [row.request_id for row in await logged(store)] == [last.request_id]

    asyncio.run(story())


def test_records_from_another_thread_are_durable_when_their_waiters_hear_of_it(open_store, a_model, a_record, logged):
    commits: list[int] = []

    async def story():
        async with open_store(observe=lambda writes, _: commits.append(writes)) as store:
            model = await a_model(store)
            old = store.known.user("ripley")
            await store.change(put_requirement, "ripley", ("gender",))
            records = [a_record(model) for _ in range(20)]
            late = a_record(model, user="ripley", user_revision=old.revision)
            commits.clear()

            waiters = [_waiter() for _ in range(21)]
            queued = [Queued(record, waiter) for record, waiter in zip([*records, late], waiters, strict=True)]
            await asyncio.to_thread(store.log_from_worker, queued)
            told = await asyncio.gather(*(waiter.future for waiter in waiters))

            assert told == [frozenset()] * 20 + [{0}]
            assert commits == [21]
            assert {row.request_id for row in await logged(store)} == {record.request_id for record in records}
        waiter = _waiter()  # from a thread that has not heard of the end
        await asyncio.to_thread(store.log_from_worker, [Queued(a_record(model), waiter)])
        with pytest.raises(StoppingError):
            await waiter.future

    asyncio.run(story())


def _waiter():
    now = time.monotonic()
    return Waiter(asyncio.get_running_loop().create_future(), now, now + 60, TimeoutError)


def test_closing_writes_what_waits_and_takes_nothing_more(open_store, a_model, a_record, logged):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            waiting = [asyncio.create_task(store.log([a_record(model)])) for _ in range(50)]
            await asyncio.sleep(0)
        assert await asyncio.gather(*waiting) == [frozenset()] * 50
        with pytest.raises(StoppingError):
            await store.log([a_record(model)])
        async with open_store() as store:
            assert len(await logged(store)) == 50

    asyncio.run(story())
