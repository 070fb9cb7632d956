"""Processes of a service that are killed in the middle of a change: it is in all of them, or in none."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from service.store import Database, arms_of, list_models

SHARES = re.compile(r'evenhand_model_share\{name="tiny",process="([01])",version="([12])"\} ([0-9.]+)')
SETTLED_S = 60
STEADY_S = 1.0
"""For how long answers are looked at after an activation: longer than a process takes to look for another one."""


@pytest.fixture
def settings(ready_url):
    return {"database_url": ready_url, "log_level": "warning", "workers": "2"}


def test_a_process_that_was_starting_during_an_activation_answers_by_it_at_once(
    settings, a_bundle_folder, a_service, rounds
):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    service = a_service(folder, **settings)

    async def story():
        changes = []
        await both_answer(service, settings["database_url"])
        async with service.loaded() as load:
            for count in range(rounds(1, 30)):
                await killed(service, service.children[count % 2])
                await asyncio.sleep(random.uniform(0, 0.6))
                done = await service.ask("POST", f"/models/{'21'[count % 2]}/activate")
                assert done.status == 200, done.body
                changes.append((done, "21"[count % 2]))
                await both_answer(service, settings["database_url"])
                await load.goes_on(STEADY_S)
        return load, changes

    load, changes = asyncio.run(story())

    assert {one.status for one in load.answers} == {200}
    ends = [done.began for done, _ in changes[1:]] + [time.monotonic()]
    for (done, version), until in zip(changes, ends, strict=True):
        after = [one for one in load.answers if done.ended < one.began and one.ended < until]
        assert {page["model"]["version"] for one in after for page in one.json.get("results", [one.json])} == {version}


def test_an_activation_or_a_share_whose_process_is_killed_is_in_all_processes_or_in_none(
    settings, a_bundle_folder, a_service, rounds
):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    service = a_service(folder, **settings)

    async def change(version, share):
        with suppress(OSError, asyncio.IncompleteReadError):
            return await service.ask("POST", f"/models/{version}/activate", {"share": share})

    async def story():
        before, outcomes, times = await both_answer(service, settings["database_url"]), [], rounds(6, 40)
        for count in range(times):
            other = min("12", key=lambda one: before.get(one, 0))
            share = 1 if len(before) == 2 or count % 2 else 0.25  # a share ends by an activation for everybody
            wanted = {other: 1.0} if share == 1 else {**dict.fromkeys(before, 1 - share), other: share}
            asking = asyncio.create_task(change(other, share))
            answered_first = count == times - 1  # however busy the machine is, one change is not cut short
            await asyncio.wait([asking], timeout=None if answered_first else random.uniform(0, 0.1))
            for pid in random.sample(service.children, random.choice([1, 1, 2])):
                os.kill(pid, signal.SIGKILL)
            answer = await asking
            served = await both_answer(service, settings["database_url"])
            assert served in ([wanted] if answer is not None else [before, wanted])
            assert answer is None or answer.status == 200, answer.body
            models = await service.ask("GET", "/models")
            assert models.status == 200, models.body
            assert {one["version"]: one["share"] for one in models.json["models"] if one["share"]} == served
            outcomes.append(served == wanted)
            before = served
        return outcomes

    outcomes = asyncio.run(story())

    assert any(outcomes)


def test_a_process_that_does_not_come_up_keeps_no_other_and_no_end_waiting(tmp_path, a_bundle_folder, a_service):
    settings = {"database_url": f"sqlite:///{tmp_path}/store.db", "log_level": "warning", "workers": "2"}
    service = a_service(a_bundle_folder(), **settings)

    async def story():
        await both_answer(service, settings["database_url"])
        first, second = service.children
        for _ in range(3):
            second = await killed(service, second)
        os.kill(second, signal.SIGKILL)  # three have not come up: the pause is five seconds
        await children(service, lambda found: found == {first})
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        await children(service, lambda found: found - {first})
        return time.monotonic() - began

    again_s = asyncio.run(story())
    began = time.monotonic()
    service.stop()

    assert again_s < 2
    assert time.monotonic() - began < 3


def test_audit_runs_are_done_one_at_a_time_whichever_process_is_asked_and_is_killed(
    settings, a_bundle_folder, a_service, rounds
):
    folder = a_bundle_folder(users=60, items=40)
    service = a_service(folder, audit_priority="normal", audit_workers="1", **settings)
    body = {"masks": [[]], "metrics": ["accuracy"]}

    async def story():
        await both_answer(service, settings["database_url"])
        queued = [await service.ask("POST", "/audit/runs", body) for _ in range(rounds(2, 6))]
        assert {one.status for one in queued} == {202}, queued[0].body
        at_once, killed = [], 0
        async with asyncio.timeout(300):
            while True:
                runs = (await service.ask("GET", "/audit/runs")).json["runs"]
                audits = audits_of(folder)
                at_once.append((sum(run["status"] == "running" for run in runs), len(audits)))
                if all(run["status"] in ("done", "failed") for run in runs):
                    return runs, at_once, killed
                if killed < rounds(1, 2) and audits and set(audits.values()) <= set(service.children):
                    os.kill(*audits.values(), signal.SIGKILL)
                    killed += 1
                await asyncio.sleep(0.02)

    runs, at_once, killed = asyncio.run(story())

    assert [run["status"] for run in runs] == ["done"] * len(runs), runs
    assert {processes for _, processes in at_once} == {0, 1}
    assert {running for running, _ in at_once} == {0, 1}
    assert killed == rounds(1, 2)


def audits_of(folder):
    """Id of each process that audits a bundle of this folder, and that of its parent; none where it ended meanwhile."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            if b"audit" in words and bytes(folder) in words:
                status = (place / "status").read_text()
                found[int(place.name)] = int(re.search(r"PPid:\s+(\d+)", status).group(1))
    return found


async def killed(service, pid):
    """SIGKILL to one of its two processes; id of the one that was begun in its place."""
    others = set(service.children) - {pid}
    os.kill(pid, signal.SIGKILL)
    (new,) = await children(service, lambda found: len(found - {pid}) == 2) - others - {pid}
    return new


async def children(service, wanted):
    """Ids of its processes, once they are as wanted."""
    async with asyncio.timeout(SETTLED_S):
        while not wanted(found := set(service.children)):
            await asyncio.sleep(0.001)
        return found


async def both_answer(service, url):
    """Wait until both processes are in one scrape and answer as it is recorded; version → its share of the users."""
    async with asyncio.timeout(SETTLED_S):
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                text = (await service.ask("GET", "/metrics")).body.decode()
                found: dict[str, dict[str, float]] = {"0": {}, "1": {}}
                for process, version, share in SHARES.findall(text):
                    found[process][version] = float(share)
                if found["0"] == found["1"] == (wanted := recorded(url)):
                    return wanted
            await asyncio.sleep(0.05)


def recorded(url):
    """Version → its share of the users, by the database; version 1 serves before anything was activated."""
    database = Database(url)
    with database.reading() as connection:
        active, trial = arms_of(list_models(connection))
    database.close()
    share = 0.0 if trial is None else trial.share
    shares = {"1" if active is None else active.version: 1 - share}
    return shares if trial is None else {**shares, trial.version: share}
