"""Run by the tests, to be killed: logs without a pause and prints each request id once it is durable."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time

import numpy as np

from service.store import Interaction, LogRecord, Purpose, Store, add_interactions, register_model


async def _run(url: str) -> None:
    store = Store(url)
    store.start()
    model = await store.change(register_model, "demo", "1", "hash", ["gender"])

    async def client(number: int) -> None:
        user = f"user {number}"
        while True:
            sets = [
                LogRecord(
                    secrets.token_hex(16),
                    time.time_ns() // 1000,
                    Purpose.RECOMMEND,
                    model.id,
                    np.arange(10, dtype=np.int32),
                    10,
                    user=user,
                    user_revision=store.known.user(user).revision,
                )
                for _ in range(1 + number % 3)
            ]
            stale = await store.log(sets)
            done = [record.request_id for place, record in enumerate(sets) if place not in stale]
            os.write(1, b"".join(f"log {one}\n".encode() for one in done))
            if secrets.randbelow(10) == 0:
                item = secrets.token_hex(8)
                await store.change(add_interactions, [Interaction(user, item, 1)])
                os.write(1, f"item {item}\n".encode())

    await asyncio.gather(*(client(number) for number in range(16)))


asyncio.run(_run(sys.argv[1]))
