"""Another bundle under load: nobody notices but for the version in the answer."""

from __future__ import annotations

import asyncio
import json
import time


def test_activating_under_load_fails_no_request_and_counts_from_its_answer_on(
    tmp_path, a_bundle_folder, a_service, rounds
):
    size = {"users": 200, "items": 500, "dimensions": 16}
    folder = a_bundle_folder(**size)
    for version in ("2", "3"):
        a_bundle_folder(version=version, seed=int(version), **size)
    service = a_service(folder, database_url=f"sqlite:///{tmp_path}/store.db", log_level="warning")

    async def story():
        swaps = []
        async with service.loaded() as load:
            for count in range(rounds(6, 60)):
                version = "231"[count % 3]
                done = await service.ask("POST", f"/models/{version}/activate")
                assert done.status == 200, done.body
                swaps.append((done, version))
                await load.goes_on()
        return load, swaps

    load, swaps = asyncio.run(story())

    assert load.failed == []
    before = "1"
    for place, (done, version) in enumerate(swaps):
        until = swaps[place + 1][0].began if place + 1 < len(swaps) else time.monotonic()
        after = [one for one in load.answers if done.ended < one.began and one.ended < until]
        meanwhile = [one for one in load.answers if done.began < one.began and one.ended < done.ended]
        assert _versions(after) <= {version}
        assert _versions(meanwhile) <= {version, before}
        before = version
    assert _versions(load.answers) == {"1", "2", "3"}


def test_a_corrupt_or_incompatible_bundle_is_refused_under_load_and_the_old_one_serves_on(
    tmp_path, a_bundle_folder, a_service
):
    folder = a_bundle_folder()
    flipped = a_bundle_folder(version="flipped", seed=2) / "items.safetensors"
    content = bytearray(flipped.read_bytes())
    content[-1] ^= 1
    flipped.write_bytes(content)
    (a_bundle_folder(version="short", seed=3) / "seen.safetensors").write_bytes(b"")
    (a_bundle_folder(version="gone", seed=4) / "users.parquet").unlink()
    later = a_bundle_folder(version="later", seed=5) / "manifest.json"
    later.write_text(json.dumps(json.loads(later.read_text()) | {"schema_version": 99}))
    (a_bundle_folder(version="garbled", seed=6) / "manifest.json").write_bytes(b"\xff{[")
    a_bundle_folder(version="blind", seed=7, attributes=("gender",))
    settings = {"database_url": f"sqlite:///{tmp_path}/store.db", "required": "age", "log_level": "warning"}
    service = a_service(folder, **settings)

    async def story():
        refused = {}
        async with service.loaded() as load:
            for version in ("flipped", "short", "gone", "later", "garbled", "blind"):
                refused[version] = await service.ask("POST", f"/models/{version}/activate")
            absent = await service.ask("POST", "/models/absent/activate")
            await load.goes_on()
        return load, refused, absent

    load, refused, absent = asyncio.run(story())

    assert load.failed == []
    assert _versions(load.answers) == {"1"}
    assert {version: (one.status, one.json["code"]) for version, one in refused.items()} == dict.fromkeys(
        refused, (422, "model_refused")
    )
    assert "items.safetensors" in refused["flipped"].json["detail"]
    assert "age" in refused["blind"].json["detail"]
    assert absent.status == 404
    service.kill()
    service.start()
    assert asyncio.run(service.ask("GET", "/recommend?user=u0")).json["model"]["version"] == "1"


def _versions(answers):
    pages = [page for one in answers for page in one.json.get("results", [one.json])]
    return {page["model"]["version"] for page in pages}
