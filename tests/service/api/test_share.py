"""A second version that answers a share of the users, over HTTP."""

from __future__ import annotations

import asyncio
import gc
import shutil
import weakref
from collections import Counter

import pytest

from bundle import SupportedMasks
from service.api import create_app
from service.model.loaded import load_model
from service.settings import Settings
from service.store import Purpose

SIZE = {"users": 300, "items": 40, "dimensions": 8}
USERS = [f"u{user}" for user in range(300)]
BOTH = ["gender", "age"]
WRONG = ({"share": -0.1}, {"share": 1.1}, {"share": "0.5"}, {"share": None}, {"shares": 0.5}, [])


def share(client, version, size, query=""):
    return client.post(f"/models/{version}/activate{query}", {"share": size})


def shared(client, version, size, query=""):
    answer = share(client, version, size, query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client, version, size, query=""):
    answer = share(client, version, size, query)
    assert answer.status_code == 409, answer.text
    return answer.json()


def answering(client, users=USERS):
    """User → version, as batches say."""
    rows = [{"user": user, "k": 3} for user in users]
    pages = [
        page
        for start in range(0, len(rows), 100)
        for page in client.post("/recommend/batch", {"requests": rows[start : start + 100]}).json()["results"]
    ]
    return {page["user"]: page["model"]["version"] for page in pages}


@pytest.fixture
def client(a_client, a_bundle_folder):
    """A client of a service of version 1, with version 2 beside it."""
    folder = a_bundle_folder(**SIZE)
    a_bundle_folder(version="2", seed=2, **SIZE)
    return a_client(folder=folder)


def test_a_share_of_the_users_is_answered_by_the_new_version_until_it_is_1_or_0(client):
    page = shared(client, "2", 0.3)

    assert (page["active"]["version"], page["trial"]["version"], page["trial"]["share"]) == ("1", "2", 0.3)
    assert (page["previous"]["version"], page["compared"]["users_unmet"]) == ("1", 0)
    first = answering(client)
    assert Counter(first.values())["2"] == pytest.approx(0.3 * len(USERS), abs=35)
    assert answering(client) == first

    assert shared(client, "2", 0)["trial"] is None
    assert set(answering(client).values()) == {"1"}
    shared(client, "2", 0.3)
    done = shared(client, "2", 1)
    assert (done["active"]["version"], done["trial"], done["previous"]["version"]) == ("2", None, "1")
    assert set(answering(client).values()) == {"2"}


def test_a_share_that_grows_keeps_its_users_and_one_that_shrinks_loses_only_some(client):
    sizes = (0.1, 0.2, 0.6, 0.6, 0.3)
    having = []
    for size in sizes:
        shared(client, "2", size)
        having.append({user for user, version in answering(client).items() if version == "2"})

    assert having[0] < having[1] < having[2] == having[3] > having[4] > having[1]


def test_each_share_that_begins_deals_anew(client):
    dealt = []
    for _ in range(2):
        shared(client, "2", 0.5)
        dealt.append(answering(client))
        shared(client, "2", 0)

    same = sum(dealt[0][user] == dealt[1][user] for user in USERS)
    assert 100 < same < 200


def test_answer_log_metrics_and_models_say_which_version_it_was(client):
    shared(client, "2", 0.5)

    answers = {user: client.get(f"/recommend?user={user}&sensitive=gender").json() for user in USERS[:40]}

    versions = {user: page["model"]["version"] for user, page in answers.items()}
    assert set(versions.values()) == {"1", "2"}
    assert answering(client, USERS[:40]) == versions
    logged = {row.user_key: row.model.version for row in client.logged(purposes=(Purpose.RECOMMEND,))}
    assert logged == versions
    by_version = {row["user"] for row in client.get("/audit/requests?version=2&purpose=recommend").json()["requests"]}
    assert by_version == {user for user, version in versions.items() if version == "2"}
    text = client.get("/metrics").text
    for version in "12":
        count = list(versions.values()).count(version)
        assert f'evenhand_recommendations_total{{protected="1",version="{version}"}} {count}.0' in text
        assert f'evenhand_model_share{{name="tiny",version="{version}"}} 0.5' in text
    assert text.count("evenhand_bundle_info{") == 1
    page = client.get("/models").json()
    assert (page["active"]["version"], page["trial"]["version"], page["trial"]["share"]) == ("1", "2", 0.5)
    found = {one["version"]: (one["active"], one["share"]) for one in page["models"]}
    assert found == {"1": (True, 0.5), "2": (False, 0.5)}


def test_lists_are_those_of_the_version_that_the_answer_names_also_from_the_cache(client, a_client, a_bundle_folder):
    alone = a_client(folder=a_bundle_folder(version="2", seed=2, name="alone", **SIZE))
    before = {user: client.items(f"/recommend?user={user}") for user in USERS[:30]}
    shared(client, "2", 0.5)

    for _ in range(2):
        for user in USERS[:30]:
            page = client.get(f"/recommend?user={user}").json()
            items = [item["item"] for item in page["items"]]
            expected = before[user] if page["model"]["version"] == "1" else alone.items(f"/recommend?user={user}")
            assert items == expected


def test_whoever_names_no_user_is_answered_by_the_active_version(client):
    shared(client, "2", 0.99)

    pages = [client.get(path).json() for path in ("/popular", "/similar?item=i1")]
    pages += [client.post("/recommend/session", {"history": [f"i{item}"]}).json() for item in range(10)]

    assert {page["model"]["version"] for page in pages} == {"1"}


def test_a_page_goes_on_for_whom_the_version_is_the_same_and_is_stale_for_the_others(client):
    shared(client, "2", 0.4)
    first = {user: client.get(f"/recommend?user={user}&k=5").json() for user in USERS[:60]}

    shared(client, "2", 0.7)

    moved = 0
    for user, page in first.items():
        after = client.get(f"/recommend?user={user}&k=5&cursor={page['next_cursor']}")
        now = client.get(f"/recommend?user={user}&k=5").json()["model"]["version"]
        if now == page["model"]["version"]:
            assert after.json()["items"][0]["rank"] == 6
        else:
            assert (after.status_code, after.json()["code"]) == (409, "stale_cursor")
            moved += 1
    assert 5 < moved < 40


def test_a_users_audit_is_of_the_version_that_answers_them(client):
    shared(client, "2", 0.5)
    versions = answering(client, USERS[:12])

    for user, version in versions.items():
        page = client.get(f"/audit/users/{user}").json()
        assert page["model"]["version"] == version


@pytest.mark.parametrize(
    ("options", "attributes", "said"),
    [
        ({"attributes": ("gender",)}, ["age"], "age"),
        (
            {"supported_masks": SupportedMasks(kind="list", masks=[[], ["gender"], ["age"]])},
            ["gender", "age"],
            "exactly",
        ),
        ({"supported_masks": SupportedMasks(kind="fixed", masks=[["age"]])}, [], "nothing"),
    ],
)
def test_a_version_that_cannot_protect_what_the_active_one_can_gets_no_share(
    a_client, a_bundle_folder, options, attributes, said
):
    client = a_client(folder=a_bundle_folder())
    a_bundle_folder(version="2", seed=2, **options)

    for query in ("", "?force=true"):
        problem = refused(client, "2", 0.5, query)
        assert (problem["code"], problem["value"], problem["attributes"]) == ("share_refused", "2", attributes)
        assert said in problem["detail"]
    assert client.get("/models").json()["trial"] is None


def test_what_the_active_version_always_protects_is_protected_in_both(a_client, a_bundle_folder):
    client = a_client(folder=a_bundle_folder(always_protected=("gender",)))
    a_bundle_folder(version="2", seed=2)
    a_bundle_folder(version="3", seed=3, always_protected=("gender", "age"))

    problem = refused(client, "2", 0.5)
    assert (problem["code"], problem["attributes"]) == ("share_refused", ["gender"])

    shared(client, "3", 0.5)
    applied = {
        page["model"]["version"]: [one["attribute"] for one in page["sensitive"]["applied"]]
        for page in (client.get(f"/recommend?user=u{user}&fallback=popular").json() for user in range(40))
    }
    assert applied == {"1": ["gender"], "3": ["gender", "age"]}


def test_stored_requirements_hold_in_both_or_there_is_no_share_even_by_force(a_client, a_bundle_folder):
    listed = SupportedMasks(kind="list", masks=[[], ["gender"]])
    client = a_client(folder=a_bundle_folder(supported_masks=listed))
    a_bundle_folder(version="2", seed=2, supported_masks=listed)
    a_bundle_folder(version="3", seed=3)
    client.post("/models/3/activate", "")
    client.request("PUT", "/users/u1/requirement", json={"attributes": ["age"]})
    forced = client.request("POST", "/models/1/activate?force=true")
    assert forced.status_code == 200

    for query in ("", "?force=true"):
        problem = refused(client, "2", 0.5, query)
        assert (problem["code"], problem["value"], problem["users"]) == ("requirements_unmet", "1", 1)
        assert problem["combinations"] == [["age"]]
        assert "force" not in problem["detail"]


def test_a_requirement_that_only_one_of_the_two_could_meet_is_not_stored(a_client, a_bundle_folder):
    client = a_client(folder=a_bundle_folder())
    a_bundle_folder(version="2", seed=2, attributes=("gender", "age", "occupation"))
    shared(client, "2", 0.5)

    def put(attributes):
        return client.request("PUT", "/users/u1/requirement", json={"attributes": attributes})

    assert put(["occupation"]).json()["code"] == "unknown_attribute"
    assert put(["age"]).status_code == 200
    shared(client, "2", 1)
    assert put(["occupation"]).status_code == 200


def test_one_share_at_a_time_and_never_of_the_active_version(client, a_bundle_folder):
    a_bundle_folder(version="3", seed=3, **SIZE)
    shared(client, "2", 0.2)

    other = refused(client, "3", 0.2)
    assert (other["code"], other["value"]) == ("share_refused", "3")
    assert "'2'" in other["reason"]
    for size in (0.5, 0):
        assert refused(client, "1", size)["code"] == "share_refused"
    assert client.get("/models").json()["trial"]["share"] == 0.2
    assert client.request("POST", "/models/3/activate").status_code == 200  # everybody: that ends the share
    assert set(answering(client, USERS[:60]).values()) == {"3"}
    assert shared(client, "2", 0)["active"]["version"] == "3"  # it has none: as often as one likes
    assert share(client, "9", 0).json()["code"] == "unknown_model"


def test_the_active_version_activated_again_ends_the_share(client):
    shared(client, "2", 0.5)

    assert client.request("POST", "/models/1/activate").json()["trial"] is None
    assert set(answering(client, USERS[:60]).values()) == {"1"}


def test_a_share_ends_although_the_files_of_its_version_are_gone(client, tmp_path):
    shared(client, "2", 0.5)
    shutil.rmtree(client.app.state.evenhand.runtime.activations.models.root / "2")

    assert shared(client, "2", 0)["trial"] is None
    assert set(answering(client, USERS[:60]).values()) == {"1"}


@pytest.mark.parametrize(
    "body", [{"share": -0.1}, {"share": 1.1}, {"share": "0.5"}, {"share": None}, {"shares": 0.5}, []]
)
def test_anything_else_in_the_body_is_refused_before_anything_is_loaded(client, body):
    answer = client.post("/models/2/activate", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert set(answering(client, USERS[:20]).values()) == {"1"}


def test_an_empty_object_and_no_body_activate_for_everybody(client):
    assert client.post("/models/2/activate", {}).json()["active"]["version"] == "2"
    assert client.request("POST", "/models/1/activate").json()["active"]["version"] == "1"
    assert client.request("POST", "/models/2/activate", content=b"share=0.5").status_code == 415


def test_exposure_is_compared_by_the_version_that_answered(client):
    shared(client, "2", 0.5)
    versions = answering(client)
    sizes = Counter(versions.values())

    page = client.get("/audit/exposure?by=model").json()

    assert page["by"] == "model"
    found = {group["class"]: (group["users"], group["lists"]) for group in page["groups"]}
    assert found == {f"tiny/{version}": (sizes[version], sizes[version]) for version in "12"}
    assert page["total_variation"]["value"] >= 0
    assert set(page["total_variation"]["between"]) == {"tiny/1", "tiny/2"}
    assert page["withheld"] == []
    assert page["users"] == len(USERS)
    assert client.problem("/audit/exposure?by=models")["errors"][0]["allowed"] == ["gender", "age", "model"]


def test_a_restart_goes_on_with_the_share_from_its_first_answer_on(a_bundle_folder, run_app, tmp_path):
    folder = a_bundle_folder(**SIZE)
    a_bundle_folder(version="2", seed=2, **SIZE)
    url = f"sqlite:///{tmp_path}/store.db"
    settings = Settings(bundle=folder, database_url=url, deadline_s=20, secret="a secret of many letters")

    async def versions(http):
        pages = [(await http.get(f"/recommend?user={user}")).json() for user in USERS[:80]]
        return [page["model"]["version"] for page in pages]

    async def story(*, begins):
        async with run_app(create_app(settings, load_model(folder, "cpu"))) as http:
            if begins:
                assert (await http.post("/models/2/activate", json={"share": 0.4})).status_code == 200
            return await versions(http)

    first = asyncio.run(story(begins=True))

    assert set(first) == {"1", "2"}
    assert asyncio.run(story(begins=False)) == first


def test_a_start_that_cannot_load_the_second_version_serves_the_active_one_and_says_so(
    a_bundle_folder, run_app, tmp_path
):
    folder = a_bundle_folder()
    other = a_bundle_folder(version="2", seed=2)
    settings = Settings(bundle=folder, database_url=f"sqlite:///{tmp_path}/store.db", deadline_s=20)

    async def story(*, begins):
        async with run_app(create_app(settings, load_model(folder, "cpu"))) as http:
            if begins:
                assert (await http.post("/models/2/activate", json={"share": 0.9})).status_code == 200
            pages = [(await http.get(f"/recommend?user=u{user}")).json() for user in range(6)]
            return {page["model"]["version"] for page in pages}, (await http.get("/health/ready")).json()

    asyncio.run(story(begins=True))
    (other / "items.parquet").write_bytes(b"PAR1")
    versions, ready = asyncio.run(story(begins=False))

    assert versions == {"1"}
    assert (ready["status"], ready["degraded"].keys()) == ("ready", {"model"})


def test_the_memory_of_a_version_whose_share_has_ended_is_given_back(a_bundle_folder, an_app, run_app, monkeypatch):
    monkeypatch.setattr("service.exposure_counts.EVERY_S", 0.1)  # what it counts for quotas is let go in the next round
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)

    async def story():
        app = an_app(folder=folder)
        async with run_app(app) as http:
            assert (await http.post("/models/2/activate", json={"share": 0.5})).status_code == 200
            for user in range(6):
                await http.get(f"/recommend?user=u{user}&balance=quotas")
            model = app.state.evenhand.runtime.serving.arms.trial.served.model
            gone = [weakref.ref(model), weakref.ref(model.bundle), weakref.ref(model.bundle.users.parts)]
            del model
            gc.collect()
            gc.disable()
            try:
                assert (await http.post("/models/2/activate", json={"share": 0})).status_code == 200
                await http.get("/recommend?user=u0")
                for _ in range(6000):
                    if all(one() is None for one in gone):
                        return
                    await asyncio.sleep(0.01)
                holders = [type(holder) for one in gone if one() is not None for holder in gc.get_referrers(one())]
                raise AssertionError(f"held by {holders}")
            finally:
                gc.enable()

    asyncio.run(story())
