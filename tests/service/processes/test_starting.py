"""A process that starts while another one activates a model: no answer is by the model before, at whatever moment."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from pydantic import SecretStr

from service.logs import make_logger
from service.model.loaded import load_model
from service.processes.process import shared_by
from service.runtime import Runtime
from service.settings import Settings

NEVER_S = 1000.0


@pytest.fixture
def two(a_bundle_folder, ready_postgres, monkeypatch):
    """Both processes of a service, with version 1 loaded and nothing started.

    Each knows of the other's changes from its own commits, and by looking for them only where a test says so. They are
    in one process here, which is nothing to PostgreSQL; locks of a SQLite file are of whole processes.
    """
    monkeypatch.setattr("service.store.writer.BEAT_S", NEVER_S)
    monkeypatch.setattr("service.store.writer.STALL_S", NEVER_S)
    monkeypatch.setattr("service.model.following.FOLLOW_S", 0.01)
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    settings = Settings(bundle=folder, database_url=SecretStr(ready_postgres), deadline_s=20)
    with shared_by(2, None) as processes:
        yield [Runtime(settings, load_model(folder, "cpu"), make_logger("error"), each) for each in processes]


def version(process):
    return process.serving.arms.active.model.version


@pytest.mark.parametrize(
    ("part", "when"),
    [("recommender", "before"), ("recommender", "after"), ("follower", "before"), ("follower", "after")],
)
def test_a_process_that_starts_during_an_activation_answers_by_it_or_the_activation_waits_for_it(
    two, part, when, monkeypatch, eventually
):
    first, second = two
    activations = []

    async def activate():
        """As far as it comes without the second process."""
        activations.append(asyncio.create_task(first.activations.activate("2", force=False, by=None)))
        await eventually(lambda: version(first) == "2")

    async def story():
        async with AsyncExitStack() as stack:
            for each in two:
                stack.push_async_callback(each.close)
            await first.start()
            around(second, part, when, activate, monkeypatch)

            await second.start()  # requests are answered from here on

            (activation,) = activations
            if not activation.done():
                second.store.writer.wake()
                await activation
            return version(second)

    assert asyncio.run(story()) == "2"


def around(process, part, when, do, monkeypatch):
    """Do something before or after a part of a process has started."""
    start = getattr(process, part).start

    async def started():
        if when == "before":
            await do()
        await start()
        if when == "after":
            await do()

    monkeypatch.setattr(getattr(process, part), "start", started)
