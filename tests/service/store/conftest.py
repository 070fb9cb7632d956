"""Real databases: a SQLite file per test, and a PostgreSQL server of our own with a database per test."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from service.store import (
    Database,
    LogFilter,
    LogRecord,
    LogRow,
    Purpose,
    Store,
    StoredModel,
    migrate,
    now_us,
    register_model,
)

ATTRIBUTES = ("gender", "age", "occupation")
AModel = Callable[..., Awaitable[StoredModel]]
ARecord = Callable[..., LogRecord]
Logged = Callable[..., Awaitable[list[LogRow]]]
Eventually = Callable[[Callable[[], bool], float], Awaitable[float]]
OpenStore = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.empty_database()


@pytest.fixture
def ready_url(url: str) -> str:
    """A database with the present schema."""
    database = Database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture
def open_store(ready_url: str) -> OpenStore:
    """Opens a running store on the test's database."""

    @asynccontextmanager
    async def opened(**options: Any) -> Any:
        store = Store(ready_url, **options)
        store.start()
        try:
            yield store
        finally:
            await store.close()

    return opened


@pytest.fixture
def a_model() -> AModel:
    """Registers a model that records can name."""

    async def registered(store: Store, version: str = "1", attributes: Sequence[str] = ATTRIBUTES) -> StoredModel:
        return await store.change(register_model, "demo", version, f"hash-{version}", attributes)

    return registered


@pytest.fixture
def a_record() -> ARecord:
    """Builds the record of some answer."""

    def built(model: StoredModel, **fields: Any) -> LogRecord:
        items = np.array(fields.pop("items", [3, 1, 2]), np.int32)
        facts = {"request_id": secrets.token_hex(16), "time_us": now_us(), "purpose": Purpose.RECOMMEND}
        return LogRecord(**{**facts, "model_id": model.id, "items": items, "k": len(items), **fields})

    return built


@pytest.fixture
def logged() -> Logged:
    """Reads the log, oldest first."""

    async def read(store: Store, **wanted: Any) -> list[LogRow]:
        return [row async for page in store.export_log(LogFilter(**wanted), chunk=500) for row in page]

    return read


@pytest.fixture
def eventually() -> Eventually:
    """Waits until something holds; returns how long that took."""

    async def waited(holds: Callable[[], bool], within_s: float) -> float:
        started = time.monotonic()
        while not holds():
            assert time.monotonic() - started < within_s, "it never came to hold"
            await asyncio.sleep(0.01)
        return time.monotonic() - started

    return waited
