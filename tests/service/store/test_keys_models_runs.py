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
    end_share,
    fail_lost_runs,
    find_key,
    find_work,
    finish_run,
    get_run,
    list_keys,
    list_models,
    list_runs,
    now_us,
    report_run,
    requeue_run,
    revoke_key,
    share_model,
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
            assert store.known.arms.active is None

            for model in (first, second, first):
                assert await store.change(activate_model, model.id)
                assert store.known.arms.active.version == model.version
            assert not await store.change(activate_model, 99)
        async with open_store() as store:
            assert store.known.arms.active.version == "1"
            assert [model.version for model in await store.read(list_models)] == ["1", "2"]

    asyncio.run(story())


def test_a_share_keeps_its_salt_while_it_changes_and_every_arrangement_has_its_own_revision(open_store, a_model):
    async def story():
        async with open_store() as store:
            first, second = await a_model(store, "1"), await a_model(store, "2")
            seen = [store.known.arms.revision]

            async def recorded():
                arms = store.known.arms
                seen.append(arms.revision)
                return arms.active.version, arms.trial and (arms.trial.version, arms.trial.share, arms.trial.share_salt)

            assert await store.change(share_model, second.id, 0.1, beside=first.id, salt=b"one", by="app")
            assert await recorded() == ("1", ("2", 0.1, b"one"))
            assert await store.change(share_model, second.id, 0.2, beside=first.id, salt=b"other")
            assert await recorded() == ("1", ("2", 0.2, b"one"))
            assert await store.change(end_share, second.id)
            assert await recorded() == ("1", None)
            assert not await store.change(end_share, second.id)
            assert await store.change(share_model, second.id, 0.2, beside=first.id, salt=b"other")
            assert await recorded() == ("1", ("2", 0.2, b"other"))
            assert await store.change(activate_model, second.id)
            assert await recorded() == ("2", None)
            assert await store.change(activate_model, first.id)
            assert await recorded() == ("1", None)
            # The active one alone is the same arrangement before a share and after it.
            assert len(set(seen)) == len(seen)
        async with open_store() as store:
            assert store.known.arms.revision == seen[-1]

    asyncio.run(story())


def test_a_share_beside_a_model_that_is_not_active_any_more_or_of_a_third_one_is_not_recorded(open_store, a_model):
    async def story():
        async with open_store() as store:
            first, second, third = [await a_model(store, version) for version in "123"]
            await store.change(activate_model, third.id)
            assert not await store.change(share_model, second.id, 0.1, beside=first.id, salt=b"salt")
            assert await store.change(share_model, second.id, 0.1, beside=third.id, salt=b"salt")
            assert not await store.change(share_model, first.id, 0.1, beside=third.id, salt=b"salt")
            arms = store.known.arms
            assert (arms.active.version, arms.trial.version, arms.trial.share) == ("3", "2", 0.1)

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


def test_a_run_whose_owner_was_killed_and_is_back_is_begun_anew_at_once_and_counted(open_store):
    async def story():
        async with open_store() as store:
            for run in ("a", "b"):
                await store.change(create_run, run, {})
            await store.change(claim_run, "back", 60_000_000)
            await store.change(claim_run, "other", 60_000_000)

            assert not await store.read(find_work, "third", now_us(), 60_000_000)
            assert await store.read(find_work, "back", now_us(), 60_000_000)
            taken = await store.change(claim_run, "back", 60_000_000)
            assert (taken.id, taken.attempts) == ("a", 2)
            assert await store.change(fail_lost_runs, "third", 60_000_000, 2) == []
            assert await store.change(fail_lost_runs, "back", 60_000_000, 2) == ["a"]
            assert await store.change(claim_run, "back", 60_000_000) is None

    asyncio.run(story())


def test_a_run_that_is_given_back_is_begun_anew_and_counted_unless_it_was_stopped_in_order(open_store):
    async def story():
        async with open_store() as store:
            await store.change(create_run, "a", {})
            for owner, counted, attempts in (("one", True, 1), ("two", False, 2), ("three", True, 2)):
                claimed = await store.change(claim_run, owner, 60_000_000)
                assert claimed.attempts == attempts
                await store.change(report_run, "a", owner, 0.5, "attacking")
                assert not await store.change(requeue_run, "a", "nobody", counted=counted)
                assert await store.change(requeue_run, "a", owner, counted=counted)
                back = await store.read(get_run, "a")
                assert (back.status, back.owner, back.progress, back.doing) == ("queued", None, 0.0, None)
                assert back.started_us is None
            await store.change(cancel_run, "a")
            assert not await store.change(requeue_run, "a", "three", counted=True)

    asyncio.run(story())


def test_a_run_whose_owners_fell_silent_often_enough_fails_and_no_other_one_does(open_store):
    async def story():
        async with open_store() as store:
            for run in ("often", "once"):
                await store.change(create_run, run, {})
            for owner in ("one", "two"):
                assert (await store.change(claim_run, owner, -1)).id == "often"
            assert (await store.change(claim_run, "three", 60_000_000)).id == "once"
            assert await store.change(fail_lost_runs, "four", 60_000_000, 2) == []

            await asyncio.sleep(0.01)
            assert await store.change(fail_lost_runs, "four", 0, 2) == ["often"]

            failed = await store.read(get_run, "often")
            assert (failed.status, failed.attempts, failed.ended_us is None) == ("failed", 2, False)
            assert failed.error
            assert (await store.read(get_run, "once")).status == "running"

    asyncio.run(story())


def test_there_is_work_where_a_run_is_queued_or_its_owner_silent(open_store):
    async def story():
        async with open_store() as store:
            assert not await store.read(find_work, "two", now_us(), 0)
            await store.change(create_run, "a", {})
            assert await store.read(find_work, "two", now_us(), 60_000_000)
            await store.change(claim_run, "one", 60_000_000)
            assert not await store.read(find_work, "two", now_us(), 60_000_000)
            await asyncio.sleep(0.01)
            assert await store.read(find_work, "two", now_us(), 0)
            await store.change(cancel_run, "a")
            assert not await store.read(find_work, "two", now_us() + 1, 0)

    asyncio.run(story())


def test_no_more_runs_are_open_than_may_be(open_store):
    async def story():
        async with open_store() as store:
            for run in ("a", "b"):
                assert await store.change(create_run, run, {}, open_at_most=2)
            await store.change(claim_run, "one", 60_000_000)
            assert not await store.change(create_run, "c", {}, open_at_most=2)
            assert await store.read(get_run, "c") is None

            await store.change(finish_run, "a", "one", {})

            assert await store.change(create_run, "c", {}, open_at_most=2)

    asyncio.run(story())


def test_runs_are_listed_newest_first_with_their_verdicts_and_without_their_results(open_store, a_model):
    async def story():
        async with open_store() as store:
            model = await a_model(store)
            for run in ("a", "b", "c"):
                await store.change(create_run, run, {"seed": 1}, model_id=model.id)
                await asyncio.sleep(0.001)
            await store.change(claim_run, "one", 60_000_000)
            await store.change(report_run, "a", "one", 0.5, "attacking")
            assert (await store.read(get_run, "a")).doing == "attacking"
            await store.change(finish_run, "a", "one", {"card": {}}, None, "pass")

            listed = await store.read(list_runs)

            assert [run.id for run in listed] == ["c", "b", "a"]
            assert [(run.verdict, run.result, run.model_id) for run in listed][-1] == ("pass", None, model.id)
            done = await store.read(get_run, "a")
            assert (done.result, done.doing, done.request) == ({"card": {}}, None, {"seed": 1})
            assert [run.id for run in await store.read(list_runs, 2)] == ["c", "b"]

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
