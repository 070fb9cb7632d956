"""Activations where something goes wrong: the model that serves, serves on."""

from __future__ import annotations

import asyncio

import pytest

from service.errors import ModelRefusedError, UnavailableError


def test_an_activation_that_cannot_be_recorded_does_not_happen(a_recommender, a_bundle_folder):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)

    async def story():
        async with a_recommender(folder=folder) as desk:
            with desk.store.database.writing() as tx:  # the disk is full, as far as the models table is concerned
                tx.connection.exec_driver_sql(
                    "CREATE TRIGGER full BEFORE UPDATE ON models BEGIN SELECT RAISE(ABORT, 'full'); END"
                )
            with pytest.raises(Exception, match=r"full|database"):
                await desk.runtime.activations.activate("2", force=False, by=None)
            assert desk.model.version == "1"
            assert desk.store.known.active is None

            with desk.store.database.writing() as tx:
                tx.connection.exec_driver_sql("DROP TRIGGER full")
            done = await desk.runtime.activations.activate("2", force=False, by="app")
            assert (desk.model.version, done.model.activated_by, done.previous) == ("2", "app", ("tiny", "1"))

    asyncio.run(story())


def test_a_store_that_is_lost_refuses_the_activation(a_recommender, a_bundle_folder):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)

    async def story():
        async with a_recommender(folder=folder) as desk:
            await desk.store.writer.close()
            with pytest.raises(UnavailableError):
                await desk.runtime.activations.activate("2", force=False, by=None)
            assert desk.model.version == "1"

    asyncio.run(story())


def test_a_refused_activation_leaves_the_next_one_free(a_recommender, a_bundle_folder):
    folder = a_bundle_folder()
    damaged = a_bundle_folder(version="2", seed=2)
    (damaged / "items.parquet").write_bytes(b"PAR1")
    a_bundle_folder(version="3", seed=3)

    async def story():
        async with a_recommender(folder=folder) as desk:
            for _ in range(2):
                with pytest.raises(ModelRefusedError, match=r"items\.parquet"):
                    await desk.runtime.activations.activate("2", force=True, by=None)
            await desk.runtime.activations.activate("3", force=False, by=None)
            assert desk.model.version == "3"
            assert desk.runtime.health.degraded == {}

    asyncio.run(story())


def test_an_activation_whose_caller_has_gone_happens_whole_or_not_at_all(a_recommender, a_bundle_folder):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)

    async def story(delay_s):
        async with a_recommender(folder=folder) as desk:
            task = asyncio.create_task(desk.runtime.activations.activate("2", force=False, by=None))
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(1.5)  # a follower's turn
            active = desk.store.known.active
            assert desk.model.version == ("1" if active is None else active.version)

    for delay_s in (0, 0.01, 0.03, 0.1):
        asyncio.run(story(delay_s))
