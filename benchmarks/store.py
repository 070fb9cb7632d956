"""What the store costs: commits and their latency by load, and counting a log of 1,000,000 lists.

    .venv/bin/python benchmarks/store.py                          # SQLite in a temporary folder
    .venv/bin/python benchmarks/store.py postgresql://USER@HOST/DATABASE   # an empty database

Clients log one list after the other, each waiting until its own is durable. Results go to results/store.json and
store.md.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from command import Command
from machine import circumstances
from report import write_report

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

PACKAGES = ("sqlalchemy", "psycopg", "numpy")
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


async def _commits(store: Store, model: StoredModel, clients: int, seconds: float, rows: int = 0) -> dict[str, float]:
    """What clients feel of a log that has so many rows."""
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
    p50_ms, p99_ms = 1e3 * np.quantile(waits, [0.5, 0.99])
    return {
        "clients": clients,
        "rows": rows,
        "records_per_s": len(waits) / seconds,
        "commits_per_s": len(commits) / seconds,
        "p50_ms": float(p50_ms),
        "p99_ms": float(p99_ms),
        "most_ms": 1e3 * max(waits),
    }


async def _fill(store: Store, model: StoredModel, rows: int) -> float:
    """Seconds for so many lists."""
    rng = np.random.default_rng(1)
    started = time.perf_counter()
    for _ in range(rows // 5000):
        assert not await store.log([_record(model, rng) for _ in range(5000)])
    return time.perf_counter() - started


def _count(database: Database) -> float:
    """Seconds for counting every list by item."""
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
    return time.perf_counter() - started


async def _run(url: str, rows: int, seconds: float) -> dict[str, Any]:
    database = Database(url)
    migrate(database)
    store = Store(url, deadline_s=30)
    store.start()
    model = await store.change(register_model, "bench", "1", "hash", ["gender", "age"])
    loads = [await _commits(store, model, clients, seconds) for clients in (1, 16, 64, 256)]
    fill_s = await _fill(store, model, rows)
    loads.append(await _commits(store, model, 16, seconds, rows))
    count_s = await asyncio.to_thread(_count, database)
    await store.close()
    database.close()
    name = database.url.get_backend_name()
    return {"database": name, "rows": rows, "loads": loads, "fill_s": fill_s, "count_s": count_s}


def as_text(result: Mapping[str, Any]) -> str:
    """A table by load, then what is done with many rows."""
    lines = [
        "| clients | rows in the log before | records/s | commits/s | wait p50 ms | p99 ms | longest ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for load in result["loads"]:
        many = f"{load['clients']} | {load['rows']:,} | {load['records_per_s']:,.0f} | {load['commits_per_s']:,.0f}"
        lines.append(f"| {many} | {load['p50_ms']:.2f} | {load['p99_ms']:.2f} | {load['most_ms']:.1f} |")
    done = f"filling {result['rows']:,} lists of {K} took {result['fill_s']:.1f} s"
    lines += ["", f"On {result['database']}; {done}, counting them by item {result['count_s']:.2f} s."]
    return "\n".join(lines)


def main() -> None:
    """Load, fill, count; print and write."""
    command = Command(__doc__)
    command.add_argument("url", nargs="?")
    command.add_size("--rows", type=int, default=1_000_000)
    command.add_size("--seconds", type=float, default=5.0)
    given = command.options()
    facts = circumstances(PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_run(given.url or f"sqlite:///{Path(folder) / 'store.db'}", given.rows, given.seconds))
    write_report(given.results, "store", "The store", facts | found, as_text(found))


if __name__ == "__main__":
    main()
