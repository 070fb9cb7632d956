"""A share of the users under load: it changes, and nobody notices but for the version in the answer."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

SIZE = {"users": 400, "items": 500, "dimensions": 16}
USERS = [f"u{user}" for user in range(SIZE["users"])]
SEARCHES = tuple(f"/recommend?user={user}&k=5{query}" for user in USERS for query in ("", "&sensitive=gender,age"))
SHARES = (0.1, 0.2, 0.5, 0.35, 0.05, 0.8, 0, 0.3, 1)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_user_has_one_version_between_two_changes_of_the_share_and_no_request_fails(
    tmp_path, a_bundle_folder, a_service, rounds, workers
):
    folder = a_bundle_folder(**SIZE)
    a_bundle_folder(version="2", seed=2, **SIZE)
    settings = {"database_url": f"sqlite:///{tmp_path}/store.db", "log_level": "warning", "workers": workers}
    service = a_service(folder, **settings)

    async def story():
        changes = []
        async with service.loaded(searches=SEARCHES) as load:
            active, other = "1", "2"
            for count in range(rounds(9, 50)):
                share = SHARES[count % len(SHARES)]
                done = await service.ask("POST", f"/models/{other}/activate", {"share": share})
                assert done.status == 200, done.body
                changes.append((done, active, other, share))
                if share == 1:
                    active, other = other, active
                await load.goes_on(0.3)
            everybody = await all_versions(service)
        return load, changes, everybody

    load, changes, everybody = asyncio.run(story())

    assert load.failed == []
    ends = [done.began for done, *_ in changes[1:]] + [time.monotonic()]
    checked = 0
    for (done, active, other, share), until in zip(changes, ends, strict=True):
        between = [one for one in load.answers if done.ended < one.began and one.ended < until]
        versions = versions_of(between)
        assert all(len(found) == 1 for found in versions.values()), f"share {share}: {versions}"
        assert {version for found in versions.values() for version in found} <= {active, other}
        counted = sum(found == {other} for found in versions.values())
        checked += len(versions)
        assert counted == pytest.approx(share * len(versions), abs=6 * (len(versions) * share * (1 - share)) ** 0.5 + 2)
    assert checked > 20 * len(changes)
    assert {version for found in versions_of(load.answers).values() for version in found} == {"1", "2"}
    last = versions_of(one for one in load.answers if changes[-1][0].ended < one.began)
    assert last == {user: {everybody[user]} for user in last}


def test_a_share_of_100_000_users_is_within_1_percent_of_what_was_asked_for(
    tmp_path, a_bundle_folder, a_service, rounds
):
    users = rounds(4_000, 100_000)
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    settings = {"database_url": f"sqlite:///{tmp_path}/store.db", "log_level": "warning", "cache": "off"}
    service = a_service(folder, secret="a secret of many characters", **settings)

    async def story():
        found = {}
        for share in (0.1, 0.5):
            done = await service.ask("POST", "/models/2/activate", {"share": share})
            assert done.status == 200, done.body
            found[share] = await all_versions(service, [f"customer {user}" for user in range(users)])
        return found

    found = asyncio.run(story())

    for share, versions in found.items():
        assert len(versions) == users
        assert list(versions.values()).count("2") / users == pytest.approx(
            share, abs=0.01 if users >= 100_000 else 0.03
        )
    assert all(found[0.5][user] == "2" for user, version in found[0.1].items() if version == "2")


def test_a_service_that_is_killed_goes_on_with_the_same_users_in_the_share(tmp_path, a_bundle_folder, a_service):
    folder = a_bundle_folder(**SIZE)
    a_bundle_folder(version="2", seed=2, **SIZE)
    service = a_service(folder, database_url=f"sqlite:///{tmp_path}/store.db", log_level="warning")

    async def story():
        done = await service.ask("POST", "/models/2/activate", {"share": 0.4})
        assert done.status == 200, done.body
        before = await all_versions(service)
        service.kill()
        service.start()
        return before, await all_versions(service)

    before, after = asyncio.run(story())

    assert set(before.values()) == {"1", "2"}
    assert after == before


async def all_versions(service, users=USERS):
    """User → version, of a list that everybody gets."""
    users = random.sample(users, len(users))
    connection, found = service.connect(), {}
    for start in range(0, len(users), 250):
        rows = [{"user": user, "k": 1, "fallback": "popular"} for user in users[start : start + 250]]
        answer = await connection.ask("POST", "/recommend/batch", {"requests": rows})
        assert answer.problems == []
        found |= {page["user"]: page["model"]["version"] for page in answer.json["results"]}
    connection.close()
    return found


def versions_of(answers):
    """User → the versions that answered."""
    found = {}
    for one in answers:
        for page in one.json.get("results", [one.json]):
            if "user" in page:
                found.setdefault(page["user"], set()).add(page["model"]["version"])
    return found
