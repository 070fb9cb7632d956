"""kill -9 at a random moment under load: what was acknowledged is there, once, and the store opens without help."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from service.store import Store, interactions_page

BUSY = Path(__file__).with_name("busy_process.py")
ROUNDS = 3


def test_after_a_kill_every_acknowledged_write_is_there_once(ready_url, logged):
    acknowledged: dict[str, list[str]] = {"log": [], "item": []}
    for _ in range(ROUNDS):
        for line in _killed(ready_url):
            kind, _, value = line.partition(" ")
            acknowledged[kind].append(value)

    async def found():
        store = Store(ready_url)
        store.start()
        ids = [row.request_id for row in await logged(store)]
        items = [one.item for _, one in await store.read(interactions_page, 0, 1_000_000)]
        await store.close()
        return ids, items

    ids, items = asyncio.run(found())
    assert len(acknowledged["log"]) > 100
    assert len(acknowledged["item"]) > 5
    assert len(set(ids)) == len(ids)
    assert not set(acknowledged["log"]) - set(ids)
    assert not set(acknowledged["item"]) - set(items)


def _killed(url: str) -> list[str]:
    """What the process acknowledged before it died."""
    command = [sys.executable, BUSY, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=BUSY.parents[3], text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(random.randint(200, 2000))]
        process.kill()
        whole = [line for line in [*lines, *process.stdout] if line.endswith("\n")]
    return [line.strip() for line in whole]
