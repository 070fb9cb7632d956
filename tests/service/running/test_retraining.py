"""The loop closed: what is posted comes back to training while a real service on PostgreSQL goes on under load."""

from __future__ import annotations

import asyncio
import os
import random
import runpy
import subprocess
import sys
from collections import defaultdict
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from bundle import read_bundle
from training.__main__ import main as training

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy" / "retrain.py"
CONFIG = """
name = "shop"
seed = 5
threads = 1
profile = "protected"

[data]
reader = "generated"
users = 1200
items = 300
interactions_per_user = 15
seed = 3

[data.attributes]  # users so many and effects so small that versions do not differ by more than their intervals
gender = { classes = ["F", "M"], strength = 0.2 }
age = { classes = ["under 30", "30+"], strength = 0.2 }

[base]
model = "als"
dimensions = 16
iterations = 3
regularization = 3.0

[fair]
method = "lattice"
"""
WORSE = ("--set", 'data.attributes=["gender"]')
"""Nobody could ask any more that age is withheld."""
POSTERS, READERS = 2, 2
ERASED = "7"
NEWCOMER = "newcomer"
SOME = 5
"""Positives that a newcomer has before training begins."""


class Shop:
    """Users who ask for lists and post what they met, without a pause; what was acknowledged, and what went wrong."""

    def __init__(self, service, users, items):
        self.service = service
        self.users, self.items = users, items
        self.posted, self.liked = defaultdict(set), defaultdict(set)
        self.failed = []
        self._ending = asyncio.Event()

    async def __aenter__(self):
        people = [self._post() for _ in range(POSTERS)] + [self._ask() for _ in range(READERS)]
        self._tasks = [asyncio.create_task(one) for one in people]
        return self

    async def __aexit__(self, *_):
        self._ending.set()
        await asyncio.gather(*self._tasks)

    async def everybody_likes_some(self):
        """Wait for it, however busy the machine is: whoever likes too little is left out of the next version."""
        async with asyncio.timeout(240):
            while min(len(self.liked[user]) for user in self.users) < SOME:
                await asyncio.sleep(0.05)

    async def _post(self):
        connection = self.service.connect()
        while not self._ending.is_set():
            user, item = random.choice(self.users), random.choice(self.items)
            rating = random.choice([5, 2])
            body = [{"user": user, "item": item, "rating": rating}] * 2  # told twice, met once
            answer = await connection.ask("POST", "/interactions", body)
            if answer.status != 200:
                self.failed.append(answer.json)
            elif answer.json["taken"]:
                self.posted[user].add(item)
                if rating == 5:
                    self.liked[user].add(item)
            await asyncio.sleep(0.05)
        connection.close()

    async def _ask(self):
        connection = self.service.connect()
        while not self._ending.is_set():
            user = random.choice(self.users)
            met = set(self.posted[user])
            answer = await connection.ask("GET", f"/recommend?user={user}&k=1000&sensitive=gender&fallback=popular")
            if answer.json.get("code") == "outdated":  # busy machines: more was posted than an answer could follow
                continue
            shown = {one["item"] for one in answer.json.get("items", ())}
            lost = shown & met if user in self.users else set()  # whoever was erased meanwhile has met nothing
            if answer.status != 200 or lost:
                self.failed.append((answer.json, lost))
            await asyncio.sleep(0.02)
        connection.close()


def as_process(*arguments):
    """`make retrain`, as it is typed; its status and what it printed."""
    command = [sys.executable, SCRIPT, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def in_here(*arguments):
    """The same without the seconds that importing torch takes."""
    main = runpy.run_path(str(SCRIPT))["main"]
    with redirect_stdout(StringIO()) as said:
        status = main([str(argument) for argument in arguments])
    return status, said.getvalue()


def versions(folder):
    """Folders of a bundle's versions, the oldest first."""
    return sorted(path.parent for path in folder.glob("*/manifest.json"))


def seen_by_user(version):
    bundle = read_bundle(version)
    items = list(bundle.items.ids)
    return {user: [items[row] for row in bundle.seen.of(place)] for place, user in enumerate(bundle.users.ids)}


@pytest.fixture
def shop_folder(tmp_path):
    """The versions of a bundle, with the first one in it."""
    (tmp_path / "first.toml").write_text(CONFIG)
    assert training(["run", str(tmp_path / "first.toml"), "--out", str(tmp_path / "bundles")]) == 0
    return tmp_path / "bundles" / "shop"


@pytest.mark.usefixtures("preloaded", "short_teachers")
def test_rounds_of_retraining_lose_and_double_nothing(shop_folder, ready_postgres, a_service, tmp_path):
    service = a_service(shop_folder, database_url=ready_postgres, log_level="warning")
    (first,) = versions(shop_folder)
    known = seen_by_user(first)
    items = list(read_bundle(first).items.ids)
    users = [*list(known)[:12], ERASED, NEWCOMER]
    before = {user: set(known.get(user, ())) for user in users}

    async def active():
        return (await service.ask("GET", "/models")).json["active"]["version"]

    places = [shop_folder, "--service", service.url, "--work", tmp_path / "work", "--database", ready_postgres]

    async def one_round(retrain, *options):
        """What was acknowledged before it began, the version that serves after it, its status, and what it printed."""
        done_before = {user: set(met) for user, met in shop.posted.items()}
        status, said = await asyncio.to_thread(retrain, *places, *options)
        return done_before, await active(), status, said

    async def what_is_left(user):
        answer = await service.ask("GET", f"/recommend?user={user}&k=1000&sensitive=gender&exclude_seen=true")
        return answer.status, [one["item"] for one in answer.json.get("items", ())]

    async def story():
        served = [first.name]
        async with shop:
            await shop.everybody_likes_some()
            for number in range(2):
                if number == 1:
                    shop.users = [user for user in shop.users if user != ERASED]
                    erased = await service.ask("DELETE", f"/users/{ERASED}")
                    assert erased.status == 200, erased.body
                    await asyncio.sleep(0.2)
                    shop.posted.pop(ERASED, None)
                    before.pop(ERASED)
                if number == 1:
                    _, serves, status, said = await one_round(in_here, *WORSE)
                    assert status == 1, said
                    assert "refused: age: the new version does not know this attribute" in said
                    assert serves == served[-1]
                    assert {path.name for path in versions(shop_folder)} == set(served)
                acknowledged, serves, status, said = await one_round(in_here if number else as_process)
                assert status == 0, said
                assert serves not in served
                served.append(serves)
                now = seen_by_user(shop_folder / serves)
                for user, met in acknowledged.items():
                    assert before[user] | met <= set(now[user]) <= before[user] | shop.posted[user]
                for user in now.keys() - before.keys():
                    assert now[user] == known[user]
                assert (ERASED in now) == (number == 0)
                assert NEWCOMER in now
        assert shop.failed == []
        for user in before:
            status, left = await what_is_left(user)
            assert status == 200
            assert sorted(left) == sorted(set(items) - before[user] - shop.posted[user])

    shop = Shop(service, users, items[::8])  # few enough that everybody has much left to see, and accuracy is measured
    asyncio.run(story())

    tables = tmp_path / "tables"
    since = ["--since", str(versions(shop_folder)[-1]), "--out", str(tables), "--format", "csv"]
    assert training(["data", "pull", "--database", ready_postgres, *since]) == 0
    people = [line.split(",")[0] for line in (tables / "users.csv").read_text().splitlines()]
    pairs = [tuple(line.split(",")[:2]) for line in (tables / "interactions.csv").read_text().splitlines()]
    assert len(set(pairs)) == len(pairs)
    assert {user for user, _ in pairs} <= set(people)
    assert ERASED not in people
