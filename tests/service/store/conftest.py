"""Stores on real databases."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import numpy as np
import pytest

from service.store import (
    LogFilter,
    LogRecord,
    LogRow,
    Purpose,
    Store,
    StoredModel,
    now_us,
    register_model,
)

ATTRIBUTES = ("gender", "age", "occupation")
AModel = Callable[..., Awaitable[StoredModel]]
ARecord = Callable[..., LogRecord]
Logged = Callable[..., Awaitable[list[LogRow]]]
OpenStore = Callable[..., AbstractAsyncContextManager[Store]]


@pytest.fixture
def open_store(ready_url: str) -> OpenStore:
    """Opens a running store on the test's database."""

    @asynccontextmanager
    async def opened(**options: Any) -> Any:
        patient = {"deadline_s": 20.0}  # on a busy machine nothing happens for seconds
        store = Store(ready_url, **patient | options)
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
