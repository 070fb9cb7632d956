"""kill -9 under load: every answered list is in the log, none twice, and the service starts again without help."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter

import psycopg

from service.audit.runs import SILENT_S


def test_after_every_kill_all_that_was_answered_is_logged_once(ready_url, a_bundle_folder, a_service, logged, rounds):
    service = a_service(a_bundle_folder(), start=False, database_url=ready_url, log_level="warning")
    answered, posted = [], []
    for _ in range(rounds(3, 20)):
        service.start()
        lists, items = asyncio.run(_until_killed(service, random.uniform(0, 1)))
        answered += lists
        posted += items

    service.start()

    ids = Counter(logged(ready_url))
    assert len(answered) >= 20
    assert posted
    assert not set(answered) - set(ids)
    assert set(ids.values()) == {1}
    assert not set(posted) - _stored_items(ready_url)
    answer = asyncio.run(service.ask("GET", "/recommend?user=u0"))
    assert answer.status == 200


def test_on_sqlite_the_audit_run_of_a_killed_service_begins_anew_as_soon_as_it_is_back(
    tmp_path, a_bundle_folder, a_service
):
    settings = {"database_url": f"sqlite:///{tmp_path}/store.db", "log_level": "warning", "audit_priority": "normal"}
    service = a_service(a_bundle_folder(users=60, items=40), **settings)

    def begun(run, times):
        return asyncio.run(service.ask("GET", f"/audit/runs/{run}")).json["attempts"] == times

    run = asyncio.run(service.ask("POST", "/audit/runs", {})).json["id"]
    while not begun(run, 1):
        time.sleep(0.01)
    killed = time.monotonic()
    service.kill()
    service.start()
    while not begun(run, 2):
        assert time.monotonic() - killed < SILENT_S - 5, "as long as others would wait"
        time.sleep(0.01)


async def _until_killed(service, after_s):
    """Lists and interactions that were acknowledged before the kill."""
    posted = []

    async def post(number):
        connection = service.connect()
        while True:
            item = f"new-{number}-{random.getrandbits(64)}"
            body = {"user": f"guest {number}", "item": item}
            try:
                answer = await connection.ask("POST", "/interactions", body)
            except (OSError, asyncio.IncompleteReadError):
                return  # `ask` has closed it
            assert answer.status == 200, answer.body
            posted.append(item)

    async with service.loaded() as load:
        posting = [asyncio.create_task(post(number)) for number in range(2)]
        await load.goes_on(after_s)
        service.kill()
        await asyncio.gather(*posting)
    assert {one.status for one in load.answers} <= {200}
    return load.lists, posted


def _stored_items(url):
    query = "SELECT item_id FROM interactions"
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    else:
        connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))
    try:
        return {item for (item,) in connection.execute(query).fetchall()}
    finally:
        connection.close()
