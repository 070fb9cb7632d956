"""What audits of the request log cost: exposure by attribute over 1,000,000 lists, and what serving feels of it.

    .venv/bin/python benchmarks/audit_log.py                                   # SQLite in a temporary folder
    .venv/bin/python benchmarks/audit_log.py postgresql://USER@HOST/DATABASE   # an empty database

Results go to results/audit_log.json and audit_log.md.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from command import Command
from generated import CLASSES, GENRES, ITEMS, USERS, D, generated_bundle
from machine import circumstances
from pydantic import SecretStr
from report import write_report

from bundle import Audit, Bundle, write_bundle
from service.audit.count import Exposure
from service.audit.requirements import RequirementUse
from service.logs import make_logger
from service.model.loaded import load_model
from service.recommend.queries import UserQuery
from service.recommend.recommender import Asker
from service.runtime import Runtime
from service.settings import Settings
from service.store import Database, LogRecord, Purpose, create_key, migrate, now_us

PACKAGES = ("sqlalchemy", "psycopg", "numpy", "polars")
K = 10
CLIENTS = 8
"""Who ask for lists all the time, one after the other each."""


def audited_bundle() -> Bundle:
    """The generated one with labels, and items of one to three genres."""
    bundle, rng = generated_bundle(), np.random.default_rng(0)
    genres = [tuple(f"genre {g}" for g in rng.choice(GENRES, rng.integers(1, 4), replace=False)) for _ in range(ITEMS)]
    nothing = np.full(USERS, -1, np.int32)
    audit = Audit(
        base=np.zeros((USERS, D), np.float32),
        labels=np.stack([rng.integers(0, count, USERS) for count in CLASSES.values()], axis=1).astype(np.int16),
        validation=nothing,
        test=nothing,
        split=np.full(USERS, 2, np.uint8),
        folded_in=np.zeros(USERS, np.bool_),
        positive=np.ones(len(bundle.seen.indices), np.bool_),
    )
    return replace(bundle, items=replace(bundle.items, groups=tuple(genres)), audit=audit)


async def fill(runtime: Runtime, rows: int) -> None:
    """Log so many lists of ten, of all users, through two API keys."""
    rng = np.random.default_rng(1)
    model_id = runtime.serving.arms.active.id
    keys = [await runtime.store.change(create_key, name, ["recommend"]) and name for name in ("shop", "app")]
    ids = [key.id for name in keys if (key := runtime.store.known.key_named(name))]
    for _ in range(rows // 5000):
        facts = zip(rng.integers(0, USERS, 5000), rng.integers(0, ITEMS, (5000, K), np.int32), strict=True)
        records = [
            LogRecord(
                secrets.token_hex(16), now_us(), Purpose.RECOMMEND, model_id, items, K, str(user), key_id=ids[i % 2]
            )
            for i, (user, items) in enumerate(facts)
        ]
        assert not await runtime.store.log(records)


async def timed(what: str, work: Awaitable[Exposure | RequirementUse]) -> dict[str, Any]:
    """How long it took, and what of that this process was computing: others may be using the machine."""
    wall, processor = time.perf_counter(), time.process_time()
    lists = (await work).lists
    took_s, computed_s = time.perf_counter() - wall, time.process_time() - processor
    return {"what": what, "lists": lists, "took_s": took_s, "processor_s": computed_s}


async def during(runtime: Runtime, work: Awaitable[object]) -> list[float]:
    """Seconds that each list took which `CLIENTS` asked for until the work was done."""
    waits: list[float] = []
    task = asyncio.ensure_future(work)

    async def client(number: int) -> None:
        rng = np.random.default_rng(number)
        while not task.done():
            started = time.perf_counter()
            query = UserQuery(str(rng.integers(USERS)), sensitive=("gender",))
            await runtime.recommender.recommend(query, Asker(secrets.token_hex(16), Purpose.PROBE))
            waits.append(time.perf_counter() - started)

    await asyncio.gather(task, *map(client, range(CLIENTS)))
    return waits


async def run(url: str, rows: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Fill, count alone, count under load."""
    settings = Settings(bundle=folder, database_url=SecretStr(url), cache="off")
    runtime = Runtime(settings, load_model(folder, "cpu"), make_logger("error"))
    await runtime.start()
    await fill(runtime, rows)
    log, until = runtime.log_statistics, now_us()
    groups = {f"exposure by {name}": name for name in CLASSES} | {"exposure of all": None}
    audits = [await timed(what, log.exposure(by, (), None, until)) for what, by in groups.items()]
    audits.append(await timed("requirements", log.requirements(None, until)))
    loads = []
    for what, work in (("nothing", asyncio.sleep(seconds)), ("exposure by age", log.exposure("age", (), None, until))):
        started = time.perf_counter()
        waits = await during(runtime, work)
        p50_ms, p99_ms = 1e3 * np.quantile(waits, [0.5, 0.99])
        took_s = time.perf_counter() - started
        load = {"beside": what, "took_s": took_s, "lists_per_s": len(waits) / took_s, "p50_ms": float(p50_ms)}
        loads.append(load | {"p99_ms": float(p99_ms), "most_ms": 1e3 * max(waits)})
    name = runtime.store.database.url.get_backend_name()
    await runtime.close()
    return {"database": name, "clients": CLIENTS, "audits": audits, "loads": loads}


def as_text(result: Mapping[str, Any]) -> str:
    """A table of audits, and one of what lists take beside them."""
    lines = ["| audit of the log | lists | s | of a processor s |", "|---|---|---|---|"]
    lines += [
        f"| {one['what']} | {one['lists']:,} | {one['took_s']:.2f} | {one['processor_s']:.2f} |"
        for one in result["audits"]
    ]
    lines += ["", f"On {result['database']}. Lists that {result['clients']} ask for one after the other each:", ""]
    lines += ["| beside | for s | lists/s | p50 ms | p99 ms | longest ms |", "|---|---|---|---|---|---|"]
    for load in result["loads"]:
        times = f"{load['p50_ms']:.1f} | {load['p99_ms']:.1f} | {load['most_ms']:.0f}"
        lines.append(f"| {load['beside']} | {load['took_s']:.1f} | {load['lists_per_s']:,.0f} | {times} |")
    return "\n".join(lines)


def main() -> None:
    """Fill, audit, audit under load; print and write."""
    command = Command(__doc__)
    command.add_argument("url", nargs="?")
    command.add_size("--rows", type=int, default=1_000_000)
    command.add_size("--seconds", type=float, default=5.0, help="of load beside nothing")
    given = command.options()
    facts = circumstances(PACKAGES)
    with tempfile.TemporaryDirectory() as scratch:
        url = given.url or f"sqlite:///{Path(scratch) / 'store.db'}"
        if given.url:
            migrate(Database(url))
        found = asyncio.run(
            run(url, given.rows, given.seconds, write_bundle(audited_bundle(), Path(scratch) / "bundles"))
        )
    write_report(given.results, "audit_log", "Audits of the request log", facts | found, as_text(found))


if __name__ == "__main__":
    main()
