"""Several processes on one port: what one is told, all know; one that is killed is started again."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from pathlib import Path

import pytest

from service.access import SCOPES
from service.commands import make_key


@pytest.fixture
def settings(ready_url):
    return {"database_url": ready_url, "log_level": "warning", "workers": "2"}


@pytest.fixture
def on_sqlite(tmp_path):
    return {"database_url": f"sqlite:///{tmp_path}/store.db", "log_level": "warning", "workers": "2"}


def test_a_process_that_is_killed_under_load_is_started_again_and_nothing_answered_is_lost(
    settings, a_bundle_folder, a_service, logged, rounds
):
    service = a_service(a_bundle_folder(), **settings)
    lost = set()

    async def story():
        async with service.loaded() as load:
            for count in range(rounds(3, 20)):
                await load.goes_on(0.3)
                pid = service.children[count % 2]
                os.kill(pid, signal.SIGKILL)
                lost.add(pid)
                async with asyncio.timeout(60):
                    while pid in service.children or len(service.children) < 2:
                        await asyncio.sleep(0.05)
        return load

    load = asyncio.run(story())

    ids = Counter(logged(settings["database_url"]))
    assert {one.status for one in load.answers} == {200}
    assert not set(load.lists) - set(ids)
    assert set(ids.values()) == {1}
    assert not lost & set(service.children)


def test_a_requirement_is_in_the_very_next_answer_of_every_process(settings, a_bundle_folder, a_service, rounds):
    service = a_service(a_bundle_folder(), **settings)

    async def story():
        asking = [service.connect() for _ in range(8)]
        applied = []
        for count in range(rounds(20, 200)):
            wanted = (["gender"], ["gender", "age"], [], ["age"])[count % 4]
            stored = await service.ask("PUT", "/users/u1/requirement", {"attributes": wanted})
            assert stored.status == 200, stored.body
            answers = await asyncio.gather(*(one.ask("GET", "/recommend?user=u1") for one in asking))
            applied += [(wanted, [each["attribute"] for each in one.json["sensitive"]["applied"]]) for one in answers]
        for one in asking:
            one.close()
        return applied

    applied = asyncio.run(story())

    assert [found for _, found in applied] == [wanted for wanted, _ in applied]


def test_activation_cursors_rate_limits_and_metrics_are_of_all_processes_together(settings, a_bundle_folder, a_service):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    secret = make_key(settings["database_url"], "all", SCOPES, None)
    service = a_service(folder, rate_limit="60/hour", **settings)
    headers = {"authorization": f"Bearer {secret}"}

    async def ask(times, path):
        return await asyncio.gather(*(service.ask("GET", path, **headers) for _ in range(times)))

    async def both_are_scraped():
        async with asyncio.timeout(60):
            while b'process="1"' not in (await service.ask("GET", "/metrics")).body:
                await asyncio.sleep(0.05)

    async def story():
        await both_are_scraped()  # the first process is ready before the others are
        (first,) = await ask(1, "/recommend?user=u1&k=2")
        pages = await ask(8, f"/recommend?user=u1&k=2&cursor={first.json['next_cursor']}")
        done = await service.ask("POST", "/models/2/activate", **headers)
        after = await ask(12, "/recommend?user=u1&k=2")
        rest = await ask(60, "/recommend?user=u1&k=2")
        metrics = await service.ask("GET", "/metrics")
        os.kill(service.children[1], signal.SIGKILL)
        await asyncio.sleep(0.1)
        await both_are_scraped()
        return pages, done, after, rest, metrics, await ask(8, "/recommend?user=u1&k=2")

    pages, done, after, rest, metrics, again = asyncio.run(story())

    assert [one.status for one in pages] == [200] * 8
    assert done.status == 200, done.body
    assert [one.status for one in after] == [200] * 12, [one.body for one in after]
    assert {one.json["model"]["version"] for one in after} == {"2"}
    assert sum(one.status == 200 for one in rest) == 60 - 1 - len(pages) - 1 - len(after)
    assert {one.status for one in again} == {429}  # a process that is started again counts on
    text = metrics.body.decode()
    counted = re.findall(r'evenhand_requests_total\{process="([01])",route="/recommend",status="200"\} ([0-9.]+)', text)
    assert {number for number, _ in counted} == {"0", "1"}
    assert sum(float(count) for _, count in counted) == 60 - 1
    assert text.count("# TYPE evenhand_requests_total") == 1


def test_processes_share_the_memory_of_what_was_imported(on_sqlite, a_bundle_folder, a_service, monkeypatch):
    monkeypatch.setattr("tests.nursery._begin_to_fork", lambda: None)  # it imports by itself, as an operator's does
    service = a_service(a_bundle_folder(), **on_sqlite)

    lines = Path(f"/proc/{service.children[0]}/smaps_rollup").read_text().splitlines()[1:]

    size = {name: int(kib) for name, kib, _ in map(str.split, lines)}
    own = size["Private_Clean:"] + size["Private_Dirty:"]
    assert own < 0.3 * size["Rss:"]  # .4 where the garbage collector walked through all of it


def test_a_service_whose_first_process_cannot_come_up_ends_with_its_status(on_sqlite, a_bundle_folder, a_service):
    broken = a_bundle_folder()
    (broken / "seen.safetensors").write_bytes(b"")
    service = a_service(broken, start=False, **on_sqlite)

    service.begin()

    assert service.has_ended(60)
    assert "seen.safetensors" in service.output


def test_after_the_supervisor_is_killed_the_service_starts_again_without_help(on_sqlite, a_bundle_folder, a_service):
    service = a_service(a_bundle_folder(), **on_sqlite)
    service.kill()

    service.start()

    answer = asyncio.run(service.ask("GET", "/recommend?user=u1"))
    assert answer.status == 200
