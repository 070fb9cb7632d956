"""Another bundle in the place of the active one, over HTTP, under requests."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

import pytest

from bundle import SupportedMasks, write_bundle
from service.api import create_app
from service.logs import make_logger
from service.model.folder import folder_to_serve, glance
from service.model.loaded import load_model
from service.settings import Settings

NOW = ("evenhand_bundle_info{", "evenhand_model_share{")
"""Metrics of what answers now."""


def activate(client, version, query="", **headers):
    return client.request("POST", f"/models/{version}/activate{query}", **headers)


def put(client, user, attributes):
    return client.request("PUT", f"/users/{user}/requirement", json={"attributes": attributes})


def version_of(client, user="u0"):
    return client.get(f"/recommend?user={user}").json()["model"]["version"]


@pytest.fixture
def versions(a_bundle_folder):
    """Writes versions of one bundle beside each other."""

    def write(*numbers, **options):
        return {number: a_bundle_folder(version=number, seed=int(number), **options) for number in numbers}

    return write


def test_a_version_takes_over_and_the_one_before_comes_back_by_the_same_call(versions, a_client, a_bundle_folder):
    client = a_client(folder=versions("1")["1"])
    a_bundle_folder(version="2", seed=2, items=14, users=8, attributes=("gender", "occupation"))
    before = client.items("/recommend?user=u0&k=12&sensitive=gender")

    done = activate(client, "2")

    assert done.status_code == 200, done.text
    page = done.json()
    assert (page["active"]["version"], page["previous"]) == ("2", {"name": "tiny", "version": "1"})
    assert page["compared"] == {
        "attributes_added": ["occupation"],
        "attributes_removed": ["age"],
        "users_added": 2,
        "users_removed": 0,
        "items_added": 2,
        "items_removed": 0,
        "users_unmet": 0,
    }
    assert version_of(client, "u7") == "2"
    assert set(client.items("/recommend?user=u0&k=14")) == {f"i{row}" for row in range(14)}
    assert client.problem("/recommend?user=u0&sensitive=age")["code"] == "unknown_attribute"
    assert [one["name"] for one in client.get("/attributes").json()["attributes"]] == ["gender", "occupation"]
    told = [line for line in client.get("/metrics").text.splitlines() if line.startswith(NOW)]
    assert len(told) == 2
    assert all('version="2"' in line for line in told)

    assert activate(client, "1").json()["active"]["version"] == "1"
    assert client.items("/recommend?user=u0&k=12&sensitive=gender") == before


def test_the_list_of_models_names_the_active_one_and_what_is_wrong_with_others(versions, a_client):
    folders = versions("1", "2", "3")
    (folders["3"] / "manifest.json").write_text("{}")
    client = a_client(folder=folders["1"])

    page = client.get("/models").json()

    assert page["active"]["version"] == "1"
    assert page["active"]["activated"] is None
    assert page["card"] == {"accuracy": {"by_mask": []}, "leakage": {"by_mask": []}}
    found = {one["version"]: (one["active"], one["refused"] is None) for one in page["models"]}
    assert found == {"1": (True, True), "2": (False, True), "3": (False, False)}
    assert str(folders["3"].parent) not in json.dumps(page)


def test_who_activated_is_recorded(versions, a_keyed_client):
    folders = versions("1", "2")
    client, keys = a_keyed_client(folder=folders["1"])

    activate(client, "2", authorization=f"Bearer {keys['admin']}")

    active = client.get("/models", authorization=f"Bearer {keys['recommend']}").json()["active"]
    assert (active["version"], active["activated_by"]) == ("2", "admin")
    assert active["activated"] > "2026-11"


@pytest.mark.parametrize("version", ["9", "..", "../tiny/1", "%2e%2e%2F1", ".1.tmp", "x" * 200])
def test_a_version_that_is_not_there_is_404(versions, a_client, version):
    client = a_client(folder=versions("1")["1"])

    answer = activate(client, version)

    assert answer.status_code in (404, 405)
    if answer.json()["code"] == "unknown_model":
        assert answer.json()["allowed"] == ["1"]
    assert version_of(client) == "1"


@pytest.mark.parametrize("file", ["items.safetensors", "users.safetensors", "encoder.safetensors", "manifest.json"])
def test_a_damaged_bundle_is_refused_with_the_file_and_the_old_one_serves_on(versions, a_client, file):
    folders = versions("1", "2")
    load_model(folders["2"], "cpu")  # leaves a stamp, which an activation does not trust
    damaged = folders["2"] / file
    raw = bytearray(damaged.read_bytes())
    raw[-1] ^= 1
    damaged.write_bytes(raw)
    client = a_client(folder=folders["1"])

    answer = activate(client, "2")

    assert (answer.status_code, answer.json()["code"]) == (422, "model_refused")
    assert file in answer.json()["reason"]
    assert str(folders["2"].parent) not in answer.text
    assert version_of(client) == "1"
    assert activate(client, "1").status_code == 200


def test_a_bundle_that_cannot_meet_the_operators_demands_is_refused(versions, a_client, a_bundle_folder):
    client = a_client(folder=versions("1")["1"], settings={"required": "age"})
    a_bundle_folder(version="2", attributes=("gender",))
    a_bundle_folder(version="3", supported_masks=SupportedMasks(kind="list", masks=[[], ["gender"]]))

    for version in ("2", "3"):
        for query in ("", "?force=true"):
            answer = activate(client, version, query)
            assert (answer.status_code, answer.json()["code"]) == (422, "model_refused")
            assert "EVENHAND_REQUIRED" in answer.json()["reason"]
    assert version_of(client) == "1"


def test_stored_requirements_that_it_cannot_meet_need_force_and_are_never_lowered(versions, a_client, a_bundle_folder):
    client = a_client(folder=versions("1")["1"])
    a_bundle_folder(version="2", seed=2, attributes=("gender",))
    for user, attributes in (("u0", ["age"]), ("u1", ["gender", "age"]), ("u2", ["gender"]), ("new", ["age"])):
        put(client, user, attributes)

    refused = activate(client, "2")

    assert (refused.status_code, refused.json()["code"]) == (409, "requirements_unmet")
    assert (refused.json()["users"], refused.json()["combinations"]) == (3, [["age"], ["gender", "age"]])
    assert version_of(client) == "1"

    forced = activate(client, "2", "?force=true")

    assert forced.json()["compared"]["users_unmet"] == 3
    for user in ("u0", "u1"):
        for query in ("", "&sensitive=", "&sensitive=gender", "&fallback=popular"):
            assert client.problem(f"/recommend?user={user}{query}")["code"] == "unsupported_requirement"
    assert client.get("/recommend?user=u2").json()["sensitive"]["applied"] == [
        {"attribute": "gender", "source": "user"}
    ]
    assert version_of(client, "u3") == "2"
    activate(client, "1")
    assert client.get("/recommend?user=u0").json()["sensitive"]["applied"] == [{"attribute": "age", "source": "user"}]


def test_a_cursor_of_the_bundle_before_is_stale(versions, a_client):
    client = a_client(folder=versions("1", "2")["1"])
    cursor = client.get("/recommend?user=u0&k=3").json()["next_cursor"]

    activate(client, "2")

    assert client.problem(f"/recommend?user=u0&k=3&cursor={cursor}")["code"] == "stale_cursor"


def test_activation_under_requests_fails_none_of_them_and_one_runs_at_a_time(versions, an_app, run_app):
    folders = versions("1", "2", items=400, users=50)
    seen, failed = set(), []

    async def story():
        app = an_app(folder=folders["1"], settings={"cache": "off"})
        async with run_app(app) as http:
            done = asyncio.Event()

            async def ask(user):
                while not done.is_set():
                    answer = await http.get(f"/recommend?user=u{user}&sensitive=gender")
                    if answer.status_code != 200:
                        failed.append(answer.text)
                        continue
                    page = answer.json()
                    seen.add(page["model"]["version"])
                    if [one["attribute"] for one in page["sensitive"]["applied"]] != ["gender"]:
                        failed.append(answer.text)

            asking = [asyncio.create_task(ask(user)) for user in range(16)]
            for version in ("2", "1", "2"):
                both = await asyncio.gather(*(http.post(f"/models/{version}/activate") for _ in range(2)))
                assert sorted(answer.status_code for answer in both) == [200, 409]
                assert {answer.json().get("code") for answer in both} == {None, "activation_running"}
                answers = [await http.get("/recommend?user=u0") for _ in range(5)]
                assert {answer.json()["model"]["version"] for answer in answers} == {version}
            done.set()
            await asyncio.gather(*asking)

    asyncio.run(story())

    assert failed == []
    assert seen == {"1", "2"}


def test_the_memory_of_the_bundle_before_is_given_back(versions, an_app, run_app):
    folders = versions("1", "2")

    async def story():
        app = an_app(folder=folders["1"])
        async with run_app(app) as http:
            await http.get("/recommend?user=u0")
            old = app.state.evenhand.runtime.recommender.model
            gone = [weakref.ref(old), weakref.ref(old.bundle), weakref.ref(old.bundle.users.parts)]
            del old
            gc.collect()
            gc.disable()  # as `serve` freezes what start-up made: nothing may wait for the collector
            try:
                assert (await http.post("/models/2/activate")).status_code == 200
                await http.get("/recommend?user=u0")
                for _ in range(6000):
                    if all(one() is None for one in gone):
                        return
                    await asyncio.sleep(0.01)
                alive = [type(one()).__name__ for one in gone if one() is not None]
                holders = [type(holder) for one in gone if one() is not None for holder in gc.get_referrers(one())]
                raise AssertionError(f"{alive} live on, held by {holders}")
            finally:
                gc.enable()

    asyncio.run(story())


def test_a_restart_serves_what_was_activated_last(versions, a_bundle, run_app, tmp_path, capsys):
    folders = versions("1", "2")
    url = f"sqlite:///{tmp_path}/store.db"
    settings = Settings(bundle=folders["1"], database_url=url)

    async def activated():
        async with run_app(create_app(settings, load_model(folders["1"], "cpu"))) as http:
            assert (await http.post("/models/2/activate")).status_code == 200

    log = make_logger("warning")
    assert folder_to_serve(settings, glance(url).active, log) == folders["1"]
    asyncio.run(activated())
    assert folder_to_serve(settings, glance(url).active, log) == folders["2"]
    assert glance(url).has_keys is False

    elsewhere = write_bundle(a_bundle(name="other"), tmp_path / "elsewhere")
    capsys.readouterr()
    other = Settings(bundle=elsewhere, database_url=url)
    assert folder_to_serve(other, glance(url).active, log) == elsewhere
    assert "not in the models folder" in capsys.readouterr().err
