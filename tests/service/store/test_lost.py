"""A database that is lost, full or stuck: nothing is acknowledged that is not durable, and it heals by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import event

from service.errors import UnavailableError
from service.metrics import Metrics
from service.recommend.batcher import Batcher
from service.store import Store, StoreUnavailableError, list_models, put_requirement


class Load:
    """Clients that log without a pause and keep count: half from the event loop, half by way of a worker."""

    def __init__(self, store, model, a_record):
        self.acknowledged: list[str] = []
        self.refused: list[UnavailableError] = []
        self._ended = False
        worker = {"max_batch": 64, "queue_size": 100, "deadline_s": 2.0, "prepare": lambda: None}
        self._worker = Batcher(lambda records, _: records, Metrics(), pass_on=store.log_from_worker, **worker)
        self._worker.start()

        async def relayed(record):
            return (await self._worker.submit_then(record, lambda made: made))[1]

        ways = [lambda record: store.log([record]), relayed] * 4
        self._clients = [asyncio.create_task(self._client(way, model, a_record)) for way in ways]

    async def _client(self, log, model, a_record):
        while not self._ended:
            record = a_record(model)
            try:
                assert await log(record) == frozenset()
            except UnavailableError as error:
                self.refused.append(error)
                await asyncio.sleep(0.01)
            else:
                self.acknowledged.append(record.request_id)

    async def end(self):
        self._ended = True
        await asyncio.gather(*self._clients)
        await self._worker.close()


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["crash", "fast stop"])
def test_postgresql_stopped_under_load_and_back(postgres, ready_postgres, a_model, a_record, logged, eventually, how):
    async def story():
        store = Store(ready_postgres, deadline_s=20.0)
        store.start()
        load = Load(store, await a_model(store), a_record)
        await eventually(lambda: len(load.acknowledged) > 50)

        try:
            await asyncio.to_thread(postgres.stop, how)
            done = len(load.acknowledged)
            await eventually(lambda: len(load.refused) > 50)
            assert len(load.acknowledged) <= done + 8
            assert store.trouble is not None
            with pytest.raises(StoreUnavailableError) as refusal:
                await asyncio.wait_for(store.change(put_requirement, "ripley", ("age",)), 10)  # not at the deadline
            assert refusal.value.headers == {"retry-after": "1"}
            assert "evenhand@" not in str(refusal.value)
        finally:
            await asyncio.to_thread(postgres.start)
        before = len(load.acknowledged)
        await eventually(lambda: len(load.acknowledged) > before + 10)
        assert store.trouble is None
        assert len(await store.read(list_models)) == 1  # the connections to read with are picked up again, too

        await load.end()
        ids = [row.request_id for row in await logged(store)]
        assert not set(load.acknowledged) - set(ids)
        assert len(set(ids)) == len(ids)
        await store.close()

    asyncio.run(story())


def test_a_restart_between_two_requests_fails_none(postgres, ready_postgres, a_model, a_record):
    async def story():
        store = Store(ready_postgres)
        store.start()
        model = await a_model(store)

        _restart_quickly(postgres, store)

        assert await store.log([a_record(model)]) == frozenset()
        await store.close()

    asyncio.run(story())


def _restart_quickly(postgres, store):
    """Without a turn of the event loop, and between two looks of the idle writer at the database or not."""
    postgres.stop(signal.SIGINT)
    postgres.start()
    deadline = time.monotonic() + 60
    while store.trouble is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_that_hangs_is_refused_quickly_and_waited_for(
    postgres, ready_postgres, a_model, a_record, logged, eventually
):
    async def story():
        store = Store(ready_postgres, deadline_s=2.0)
        store.start()
        load = Load(store, await a_model(store), a_record)
        await eventually(lambda: len(load.acknowledged) > 20)

        pids = _backends(postgres)
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            await eventually(lambda: len(load.refused) >= 8)
            assert {type(refusal) for refusal in load.refused} == {StoreUnavailableError}
            await eventually(lambda: store.trouble is not None)
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                await store.log([a_record(await _never(), user="x")])
            assert time.monotonic() - started < 1.5  # not after the deadline
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        before = len(load.acknowledged)
        await eventually(lambda: len(load.acknowledged) > before)

        await load.end()
        ids = [row.request_id for row in await logged(store)]
        assert not set(load.acknowledged) - set(ids)
        assert len(set(ids)) == len(ids)
        await store.close()

    async def _never():
        from service.store import StoredModel

        return StoredModel(1, "demo", "1", "hash", (), 0, None, 0)

    asyncio.run(story())


def _backends(postgres):
    """Process ids of the server and of all that it started."""
    main = int((postgres.home / "data" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    return [main, *map(int, children)]


def test_a_full_disk_refuses_and_heals_once_there_is_room(tmp_path, a_model, a_record, logged, eventually):
    pages = {"most": 10_000}

    async def story():
        store = Store(f"sqlite:///{tmp_path}/store.db")
        event.listen(
            store.database.writers, "connect", lambda c, _: c.execute(f"PRAGMA max_page_count={pages['most']}")
        )
        store.start()
        model = await a_model(store)
        await store.change(lambda tx: tx.connection.exec_driver_sql("PRAGMA max_page_count=60").scalar())
        pages["most"] = 60
        load = Load(store, model, a_record)

        await eventually(lambda: len(load.refused) > 20)
        assert store.trouble is not None
        assert "SQLITE_FULL" in store.trouble
        assert all(isinstance(error, StoreUnavailableError) for error in load.refused)
        known = [row.request_id for row in await logged(store)]  # reading goes on
        assert sorted(known) == sorted(load.acknowledged)

        pages["most"] = 10_000
        before = len(load.acknowledged)
        await eventually(lambda: len(load.acknowledged) > before + 10)
        await load.end()
        assert sorted(row.request_id for row in await logged(store)) == sorted(load.acknowledged)
        await store.close()

    asyncio.run(story())


def test_a_database_that_is_not_there_at_the_start_is_named_without_its_password(tmp_path):
    with pytest.raises(StoreUnavailableError) as refusal:
        Store(f"postgresql://evenhand:secret@/none?host={tmp_path}")

    assert "secret" not in str(refusal.value)
