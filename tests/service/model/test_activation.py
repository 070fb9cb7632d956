"""Activations where something goes wrong: the model that serves, serves on."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from pydantic import SecretStr

from service.errors import ActivationRunningError, ModelRefusedError, ShareRefusedError, UnavailableError
from service.model.share import new_salt
from service.store import register_model, share_model


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
            assert desk.store.known.arms.active is None

            with desk.store.database.writing() as tx:
                tx.connection.exec_driver_sql("DROP TRIGGER full")
            done = await desk.runtime.activations.activate("2", force=False, by="app")
            by = desk.store.known.arms.active.activated_by
            assert (desk.model.version, by, done.previous) == ("2", "app", ("tiny", "1"))

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
            active = desk.store.known.arms.active
            assert desk.model.version == ("1" if active is None else active.version)

    for delay_s in (0, 0.01, 0.03, 0.1):
        asyncio.run(story(delay_s))


def revision(desk):
    return desk.runtime.serving.arms.revision


def test_replicas_deal_the_same_users_the_same_version_and_follow_every_change(
    a_recommender, a_bundle_folder, ready_postgres, eventually
):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    settings = {"database_url": SecretStr(ready_postgres), "secret": SecretStr("the same secret for all")}
    users = [f"u{user}" for user in range(1000)]

    def dealt(desk):
        return [desk.runtime.serving.arms.of(user).model.version for user in users]

    async def story():
        async with (
            a_recommender(folder=folder, settings=settings) as here,
            a_recommender(folder=folder, settings=settings) as there,
        ):
            for desk, share in ((here, 0.2), (there, 0.5), (here, 1.0)):
                await desk.runtime.activations.activate("2", share=share, force=False, by=None)
                await eventually(lambda: revision(here) == revision(there))
                assert dealt(here) == dealt(there)
                assert dealt(here).count("2") == pytest.approx(1000 * share, abs=60)
            assert there.runtime.health.degraded == {}

    asyncio.run(story())


def test_a_replica_without_the_files_of_the_second_version_answers_from_the_active_one_and_says_so(
    a_recommender, a_bundle_folder, ready_postgres, eventually, tmp_path
):
    folder = a_bundle_folder()
    elsewhere = tmp_path / "elsewhere" / "1"
    shutil.copytree(folder, elsewhere)
    a_bundle_folder(version="2", seed=2)
    settings = {"database_url": SecretStr(ready_postgres)}

    async def story():
        async with (
            a_recommender(folder=folder, settings=settings) as here,
            a_recommender(folder=elsewhere, settings=settings) as there,
        ):
            await here.runtime.activations.activate("2", share=0.5, force=False, by=None)
            await eventually(lambda: "model" in there.runtime.health.degraded)
            assert "tiny/2" in there.runtime.follower.trouble
            assert (there.model.version, there.runtime.serving.arms.trial) == ("1", None)

            shutil.copytree(folder.with_name("2"), elsewhere.with_name("2"))
            await eventually(lambda: revision(here) == revision(there))
            await eventually(lambda: there.runtime.health.degraded == {})

            await here.runtime.activations.activate("2", share=0, force=False, by=None)
            await eventually(lambda: there.runtime.serving.arms.trial is None)

    asyncio.run(story())


def test_a_share_that_another_replica_has_changed_meanwhile_is_not_recorded_over_it(a_recommender, a_bundle_folder):
    folder = a_bundle_folder()
    for version in ("2", "3"):
        a_bundle_folder(version=version, seed=int(version))

    async def story():
        async with a_recommender(folder=folder) as desk:
            store = desk.store
            third = await store.change(register_model, "tiny", "3", "elsewhere", ("gender", "age"))
            active = desk.runtime.serving.arms.active.id
            await store.change(share_model, third.id, 0.3, beside=active, salt=new_salt(None))
            with pytest.raises(ActivationRunningError) as refused:
                await desk.runtime.activations.activate("2", share=0.1, force=False, by=None)
            assert refused.value.value == "3"
            assert store.known.arms.trial.version == "3"

    asyncio.run(story())


def test_a_replica_with_another_secret_deals_no_other_users_and_says_so(
    a_recommender, a_bundle_folder, ready_postgres, eventually
):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    settings = {"database_url": SecretStr(ready_postgres)}

    async def story():
        async with (
            a_recommender(folder=folder, settings=settings | {"secret": SecretStr("one secret of many")}) as here,
            a_recommender(folder=folder, settings=settings | {"secret": SecretStr("another secret of many")}) as there,
        ):
            await here.runtime.activations.activate("2", share=0.5, force=False, by=None)
            await eventually(lambda: "model" in there.runtime.health.degraded)
            assert "EVENHAND_SECRET" in there.runtime.follower.trouble
            assert there.runtime.serving.arms.trial is None
            with pytest.raises(ShareRefusedError, match="EVENHAND_SECRET"):
                await there.runtime.activations.activate("2", share=0.6, force=False, by=None)
            assert there.store.known.arms.trial.share == 0.5

            await there.runtime.activations.activate("2", share=0, force=False, by=None)
            await there.runtime.activations.activate("2", share=0.6, force=False, by=None)
            assert there.runtime.serving.arms.trial.share.size == 0.6
            await eventually(lambda: "model" in here.runtime.health.degraded)

    asyncio.run(story())
