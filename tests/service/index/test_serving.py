"""A service with an index of each kind that was chosen: the same pages, and what it says of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydantic import SecretStr

from bundle import write_bundle
from service.api import create_app
from service.index import select_index
from service.model.loaded import load_model
from service.settings import Settings

ITEMS = 2000


def clustered(rng, d=8):
    centres = rng.normal(size=(40, d))
    return (centres[rng.integers(0, 40, ITEMS)] + 0.2 * rng.normal(size=(ITEMS, d))).astype(np.float32)


@pytest.fixture
def folder(a_bundle_folder):
    vectors = clustered(np.random.default_rng(3))
    return a_bundle_folder(items=ITEMS, dimensions=8, users=50, item_vectors=vectors)


@pytest.fixture
def a_service(folder, database_url, run_app):
    """A running service around an index of one kind."""

    def make(kind, **settings):
        given = Settings(bundle=folder, database_url=database_url(), cache="off", deadline_s=20, index=kind, **settings)
        url = given.milvus_url and given.milvus_url.get_secret_value()
        app = create_app(given, load_model(folder, "cpu", kind, milvus_url=url))
        return app, run_app(app)

    return make


def index_metrics(text):
    return {
        line.rsplit(" ", 1)[0]: line.rsplit(" ", 1)[1] for line in text.splitlines() if "evenhand_index" in line[:14]
    }


@pytest.mark.anyio
async def test_an_approximate_index_serves_pages_and_names_itself(a_service, capsys):
    app, running = a_service("ivf")
    async with running as http:
        pages, cursor = [], ""
        for _ in range(12):
            answer = (await http.get(f"/recommend?user=u3&sensitive=gender&k=40{cursor}")).json()
            pages += [item["item"] for item in answer["items"]]
            cursor = f"&cursor={answer['next_cursor']}"
        metrics = index_metrics((await http.get("/metrics")).text)

    report = app.state.evenhand.runtime.recommender.model.index_report
    assert report.kind == "ivf"
    assert len(set(pages)) == len(pages) == 480
    (info,) = (name for name in metrics if name.startswith("evenhand_index_info"))
    assert 'kind="ivf"' in info
    assert 'exact="false"' in info
    assert float(metrics["evenhand_index_recall"]) == report.recall >= 0.98
    assert float(metrics["evenhand_index_build_seconds"]) > 0
    assert float(metrics["evenhand_index_search_seconds"]) == pytest.approx(report.search_ms / 1e3)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if '"event":"index"' in line]
    assert [(line["index"], line["reason"]) for line in lines] == [("ivf", "EVENHAND_INDEX is ivf")]
    assert lines[0]["recall_10"] == pytest.approx(report.recall, abs=1e-4)


@pytest.mark.anyio
async def test_milvus_is_a_part_of_the_service_that_it_can_do_without(a_service, tmp_path, monkeypatch):
    pymilvus = pytest.importorskip("pymilvus", reason="extra `milvus` is not installed")
    pytest.importorskip("milvus_lite", reason="extra `milvus` is not installed")

    def lost(*_, **__):
        raise pymilvus.MilvusException(message="no route")

    _, running = a_service("milvus", milvus_url=SecretStr(str(tmp_path / "lite.db")))
    async with running as http:
        before = (await http.get("/recommend?user=u3&sensitive=gender&k=5")).json()
        ready = (await http.get("/health/ready")).json()
        monkeypatch.setattr(pymilvus.MilvusClient, "search", lost)
        without = await http.get("/recommend?user=u3&sensitive=gender&k=6")
        degraded = (await http.get("/health/ready")).json()
        metrics = (await http.get("/metrics")).text

    assert len(before["items"]) == 5
    assert ready["components"]["index"] == "ok"
    assert without.status_code == 200
    assert len(without.json()["items"]) == 6
    assert degraded["components"]["index"] == "trouble"
    assert degraded["degraded"]["index"] == "Milvus does not answer; every item is compared here"
    assert 'evenhand_up{part="index"} 0.0' in metrics


def test_auto_measures_with_the_bundles_own_users(folder, monkeypatch):
    drawn = []
    monkeypatch.setattr(select_index, "QUICK_MS", 0.0)
    monkeypatch.setattr(select_index, "approximate_kinds", lambda _: ())
    real = select_index.search_ms
    monkeypatch.setattr(
        select_index, "search_ms", lambda ranker, sample, pause: drawn.append(sample) or real(ranker, sample, pause)
    )

    model = load_model(folder, "cpu")

    users = {row.tobytes() for sample in drawn for row in sample.fair}
    masks = [(False, False), (True, False), (False, True), (True, True)]
    fair = {model.encoder.fair_vectors([user], [mask])[0].tobytes() for user in range(50) for mask in masks}
    assert len(users & fair) == 50
    assert model.index_report.exact


def test_a_user_whose_vector_is_not_finite_does_not_stop_a_start_that_measures(a_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(select_index, "QUICK_MS", 0.0)
    monkeypatch.setattr(select_index, "approximate_kinds", lambda _: ())
    bundle = a_bundle()
    bundle.users.parts[3] = 3e38

    model = load_model(write_bundle(bundle, tmp_path / "bundles"), "cpu")

    assert model.index_report.exact
