"""What the store costs: commits and their latency by load, and counting a log of 1,000,000 lists.

.venv/bin/python benchmarks/store.py                          # SQLite in a temporary folder
.venv/bin/python benchmarks/store.py postgresql://USER@HOST/DATABASE   # an empty database
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import tempfile
import time
from pathlib import Path

import numpy as np

from service.store import (
    Database,
    LogFilter,
    LogRecord,
    Pseudonyms,
    Purpose,
    Store,
    StoredModel,
    log_columns,
    log_span,
    migrate,
    now_us,
    register_model,
)

ITEMS = 3706
USERS = 6040
K = 10
PART = 10_000
"""Rows read at a time."""


def _record(model: StoredModel, rng: np.random.Generator) -> LogRecord:
    shown = rng.integers(0, ITEMS, K).astype(np.int32)
    request_id = secrets.token_hex(16)
    user = str(rng.integers(USERS))
    return LogRecord(request_id, now_us(), Purpose.RECOMMEND, model.id, shown, K, user=user)


async def _commits(store: Store, model: StoredModel, clients: int, seconds: float) -> None:
    commits: list[tuple[int, float]] = []
    waits: list[float] = []
    store.writer.observe = lambda writes, took: commits.append((writes, took))
    rng = np.random.default_rng(0)
    end = time.perf_counter() + seconds

    async def client() -> None:
        while (started := time.perf_counter()) < end:
            assert not await store.log([_record(model, rng)])
            waits.append(time.perf_counter() - started)

    await asyncio.gather(*(client() for _ in range(clients)))
    p50, p99 = 1e3 * np.quantile(waits, [0.5, 0.99])
    print(
        f"{clients:4d} clients: {len(waits) / seconds:7.0f} records/s in {len(commits) / seconds:5.0f} commits/s "
        f"({len(waits) / len(commits):.1f} each), wait p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {1e3 * max(waits):.1f}"
    )


async def _fill(store: Store, model: StoredModel, rows: int) -> None:
    rng = np.random.default_rng(1)
    started = time.perf_counter()
    for _ in range(rows // 5000):
        assert not await store.log([_record(model, rng) for _ in range(5000)])
    print(f"filling {rows:,} lists of {K}: {time.perf_counter() - started:.1f} s")


def _count(database: Database) -> None:
    started = time.perf_counter()
    shown, lists = np.zeros(ITEMS, np.int64), 0
    pseudonyms = Pseudonyms(None)
    wanted = LogFilter(purposes=tuple(purpose for purpose in Purpose if purpose.is_exposure))
    with database.reading() as connection:
        span = log_span(connection, wanted)
    for start in range(span.start, span.stop, PART):
        with database.reading() as connection:
            part = log_columns(connection, wanted, pseudonyms, range(start, start + PART))
        if part is not None:
            shown += np.bincount(part.items, minlength=ITEMS)
            lists += len(part.lengths)
    assert shown.sum() == lists * K
    print(f"counting {lists:,} lists by item: {time.perf_counter() - started:.2f} s")


async def _run(url: str, rows: int, seconds: float) -> None:
    database = Database(url)
    migrate(database)
    store = Store(url, deadline_s=30)
    store.start()
    model = await store.change(register_model, "bench", "1", "hash", ["gender", "age"])
    print(f"{database.url.get_backend_name()}:")
    for clients in (1, 16, 64, 256):
        await _commits(store, model, clients, seconds)
    await _fill(store, model, rows)
    await _commits(store, model, 16, seconds)
    await asyncio.to_thread(_count, database)
    await store.close()
    database.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(given.url or f"sqlite:///{Path(folder) / 'store.db'}", given.rows, given.seconds))
