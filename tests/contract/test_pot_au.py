"""Vectors that were moved by users' own labels: one mask, those users, and an audit that does not judge."""

from __future__ import annotations

import httpx
import pytest
import torch

from measure.audit import Thresholds
from measure.profiles import Profile
from service.api import create_app
from service.audit.request import AuditRequest
from service.audit.result import make_result
from service.model.loaded import load_model
from service.settings import Settings
from training.config import RunConfig
from training.run import run

LOOK = Profile("full", ("logistic",), 2, 1, 1, 20, 20, fit_rows=500, verdict=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A bundle whose vectors forgot gender and kept age."""
    torch.set_num_threads(1)
    config = RunConfig.model_validate(
        {
            "name": "forgets",
            "mode": "reproduce",
            "profile": "protected",
            "threads": 1,
            "data": {"reader": "generated", "users": 300, "items": 120, "interactions_per_user": 20},
            "base": {"model": "als", "dimensions": 8, "iterations": 3, "regularization": 1},
            "fair": {"method": "pot_au", "protect": ["gender"], "learning_rate": 0.02, "schedule": {"epochs": 10}},
        }
    )
    return run(config, None, tmp_path_factory.mktemp("bundles"), torch.device("cpu"))


@pytest.fixture
async def client(folder, tmp_path):
    app = create_app(
        Settings(bundle=folder, deadline_s=60, database_url=f"sqlite:///{tmp_path}/store.db"), load_model(folder, "cpu")
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder, "cpu")


@pytest.mark.anyio
async def test_no_two_lists_of_different_masks_can_be_had(client, model):
    user = model.bundle.users.ids[7]
    lists = []

    for asked in ({}, {"sensitive": ""}, {"sensitive": "gender"}):
        answer = (await client.get("/recommend", params={"user": user} | asked)).json()
        lists.append([item["item"] for item in answer["items"]])
        applied = answer["sensitive"]["applied"]
        assert applied == [{"attribute": "gender", "source": "request" if asked.get("sensitive") else "bundle"}]
    assert lists[0] == lists[1] == lists[2]
    for refused in ("age", "gender,age", "occupation", "gender,age,occupation"):
        response = await client.get("/recommend", params={"user": user, "sensitive": refused})
        assert (response.status_code, response.json()["code"]) == (422, "unsupported_requirement")


@pytest.mark.anyio
async def test_whoever_was_not_moved_is_not_served(client, model):
    items = [model.bundle.items.ids[row] for row in (3, 5, 8)]

    session = await client.post("/recommend/session", json={"history": items})
    posted = await client.post(
        "/interactions",
        json=[{"user": "somebody-new", "item": item} for item in items],
    )
    unknown = await client.get("/recommend", params={"user": "somebody-new"})
    popular = await client.get("/recommend", params={"user": "somebody-new", "fallback": "popular"})

    assert (session.status_code, session.json()["code"]) == (422, "sessions_unsupported")
    assert posted.status_code < 300
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_user")
    assert popular.json()["fallback"] == "popular"


def test_its_audit_measures_everything_and_judges_nothing(model, monkeypatch):
    monkeypatch.setattr("service.audit.result.PROFILES", {"full": LOOK})
    asked = AuditRequest.model_validate({"profile": "full", "metrics": ["accuracy", "leakage"]})

    result = make_result(model, asked, Thresholds())

    verdict, rows = result["verdict"], result["card"]["leakage"]["by_mask"]
    assert verdict["overall"] == "not_judged"
    assert verdict["not_judged"][0]["code"] == "transductive"
    assert {tuple(row["sensitive"]) for row in rows if row["target"] == "fair"} == {("gender",)}
