"""Keys, models and audit runs."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from service.store import (
    KeyNameTakenError,
    RunConflictError,
    activate_model,
    cancel_run,
    claim_run,
    create_key,
    create_run,
    delete_run,
    find_key,
    finish_run,
    get_run,
    list_keys,
    list_models,
    list_runs,
    now_us,
    report_run,
    revoke_key,
)


def test_a_key_opens_until_it_expires_or_is_revoked(open_store):
    async def story():
        async with open_store() as store:
            now = now_us()
            lasting = await store.change(create_key, "lasting", ["recommend", "audit"])
            short = await store.change(create_key, "short", ["recommend"], now + 60_000_000)
            keys = store.known.keys

            assert find_key(keys, lasting, now).scopes == {"recommend", "audit"}
            assert find_key(keys, short, now).name == "short"
            assert find_key(keys, short, now + 60_000_000) is None
            for wrong in ("", "evh_", lasting[:-1], lasting + " ", "\ud800"):
                assert find_key(keys, wrong, now) is None

            assert await store.change(revoke_key, "lasting")
            assert not await store.change(revoke_key, "lasting")
            assert not await store.change(revoke_key, "unknown")
            assert find_key(store.known.keys, lasting, now) is None
            with pytest.raises(KeyNameTakenError):
                await store.change(create_key, "lasting", [])
            assert [key.name for key in await store.read(list_keys)] == ["lasting", "short"]

    asyncio.run(story())


def test_no_secret_is_in_the_database(open_store, tmp_path):
    async def story():
        async with open_store() as store:
            secret = await store.change(create_key, "app", ["recommend"])
            [key] = await store.read(list_keys)
            assert key.digest == hashlib.sha256(secret.encode()).digest()
            assert secret not in repr(key)
            for file in tmp_path.iterdir():
                assert secret.encode() not in file.read_bytes()

    asyncio.run(story())


def test_the_model_activated_last_is_the_active_one(open_store, a_model):
    async def story():
        async with open_store() as store:
            first, second = await a_model(store, "1"), await a_model(store, "2")
            assert await a_model(store, "1") == first
            assert store.known.active is None

            for model in (first, second, first):
                assert await store.change(activate_model, model.id)
                assert store.known.active.version == model.version
            assert not await store.change(activate_model, 99)
        async with open_store() as store:
            assert store.known.active.version == "1"
            assert [model.version for model in await store.read(list_models)] == ["1", "2"]

    asyncio.run(story())


def test_a_run_goes_from_queued_to_done(open_store):
    async def story():
        async with open_store() as store:
            for run in ("a", "b"):
                await store.change(create_run, run, {"profile": "quick"})
            assert (await store.read(get_run, "a")).status == "queued"

            mine = await store.change(claim_run, "one", 10_000_000)
            other = await store.change(claim_run, "two", 10_000_000)
            assert (mine.id, other.id) == ("a", "b")
            assert await store.change(claim_run, "three", 10_000_000) is None

            assert await store.change(report_run, "a", "one", 0.5)
            assert not await store.change(report_run, "a", "two", 0.6)
            assert (await store.read(get_run, "a")).progress == 0.5
            assert await store.change(finish_run, "a", "one", {"auc": 0.5})
            assert not await store.change(finish_run, "a", "one", {"auc": 0.9})
            done = await store.read(get_run, "a")
            assert (done.status, done.result, done.progress) == ("done", {"auc": 0.5}, 1.0)

            assert await store.change(finish_run, "b", "two", None, "it broke")
            assert (await store.read(get_run, "b")).status == "failed"
            assert {run.id for run in await store.read(list_runs)} == {"a", "b"}

    asyncio.run(story())


def test_a_run_whose_owner_fell_silent_is_taken_over(open_store):
    async def story():
        async with open_store() as store:
            await store.change(create_run, "a", {})
            await store.change(claim_run, "dead", 60_000_000)
            await store.change(report_run, "a", "dead", 0.9)

            assert await store.change(claim_run, "next", 60_000_000) is None
            await asyncio.sleep(0.05)
            taken = await store.change(claim_run, "next", 10_000)

            assert (taken.id, taken.owner, taken.progress) == ("a", "next", 0.0)
            assert not await store.change(report_run, "a", "dead", 1.0)

    asyncio.run(story())


def test_a_cancelled_run_stays_so_and_only_what_has_ended_is_deleted(open_store):
    async def story():
        async with open_store() as store:
            await store.change(create_run, "a", {})
            await store.change(claim_run, "one", 60_000_000)
            with pytest.raises(RunConflictError):
                await store.change(delete_run, "a")

            assert (await store.change(cancel_run, "a")).status == "cancelled"
            assert not await store.change(report_run, "a", "one", 0.7)
            assert not await store.change(finish_run, "a", "one", {})
            with pytest.raises(RunConflictError):
                await store.change(cancel_run, "a")

            assert await store.change(delete_run, "a")
            assert not await store.change(delete_run, "a")
            assert await store.change(cancel_run, "a") is None
            assert await store.read(get_run, "a") is None

    asyncio.run(story())
