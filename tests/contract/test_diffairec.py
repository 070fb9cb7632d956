"""DifFaiRec served: with own labels one mask and nobody new, with the posterior sessions too and no protection."""

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
SCHEDULE = {"epochs": 3, "validate_every": 3}


@pytest.fixture(scope="module", params=["own", "posterior"])
def condition(request):
    return request.param


@pytest.fixture(scope="module")
def model(condition, tmp_path_factory):
    """What the service loads of a bundle trained under that condition."""
    torch.set_num_threads(1)
    config = RunConfig.model_validate(
        {
            "name": "conditioned",
            "mode": "reproduce" if condition == "own" else "strict",
            "profile": "protected",
            "threads": 1,
            "data": {"reader": "generated", "users": 500, "items": 200, "interactions_per_user": 20},
            "base": {"model": "diffrec", "dimensions": 8, "hidden": 16, "item_biases": False, "schedule": SCHEDULE},
            "fair": {
                "method": "diffairec",
                "attribute": "gender",
                "condition": condition,
                "width": 16,
                "tokens": 4,
                "schedule": SCHEDULE,
            },
        }
    )
    return load_model(run(config, None, tmp_path_factory.mktemp("bundles"), torch.device("cpu")), "cpu")


@pytest.fixture
async def client(model, tmp_path):
    app = create_app(Settings(bundle=tmp_path, deadline_s=60, database_url=f"sqlite:///{tmp_path}/store.db"), model)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


@pytest.mark.anyio
async def test_no_list_but_that_of_the_one_mask_can_be_had(client, model, condition):
    user = model.bundle.users.ids[7]
    lists, protects = [], ["gender"] if condition == "own" else []

    for asked in ({}, {"sensitive": ",".join(protects)}):
        answer = (await client.get("/recommend", params={"user": user} | asked)).json()
        lists.append([item["item"] for item in answer["items"]])
        assert [each["attribute"] for each in answer["sensitive"]["applied"]] == protects
    assert lists[0] == lists[1]
    for names in ["age", "gender,age", "gender,age,occupation"] + ([] if protects else ["gender"]):
        response = await client.get("/recommend", params={"user": user, "sensitive": names})
        assert (response.status_code, response.json()["code"]) == (422, "unsupported_requirement")


@pytest.mark.anyio
async def test_sessions_and_new_users_are_served_where_no_label_is_needed(client, model, condition):
    items = [model.bundle.items.ids[row] for row in (3, 5, 8)]

    session = await client.post("/recommend/session", json={"history": items})
    await client.post("/interactions", json=[{"user": "somebody-new", "item": item} for item in items])
    new = await client.get("/recommend", params={"user": "somebody-new"})

    if condition == "own":
        assert (session.status_code, session.json()["code"]) == (422, "sessions_unsupported")
        assert (new.status_code, new.json()["code"]) == (404, "unknown_user")
    else:
        assert session.status_code == new.status_code == 200
        shown = [[item["item"] for item in each.json()["items"]] for each in (session, new)]
        assert shown[0] == shown[1]
        assert not set(items) & set(shown[0])


def test_its_audit_says_why_it_does_not_judge(model, condition, monkeypatch):
    monkeypatch.setattr("service.audit.result.PROFILES", {"full": LOOK})
    asked = AuditRequest.model_validate({"profile": "full", "metrics": ["accuracy", "leakage"]})

    result = make_result(model, asked, Thresholds())

    verdict, rows = result["verdict"], result["card"]["leakage"]["by_mask"]
    mask, why = (("gender",), "transductive") if condition == "own" else ((), "no_mask")
    assert {tuple(row["sensitive"]) for row in rows if row["target"] == "fair"} == {mask}
    assert (verdict["overall"], verdict["not_judged"][0]["code"]) == ("not_judged", why)
    if condition == "posterior":
        assert "no mask of this bundle protects it" in verdict["reason"]
        assert verdict["accuracy"]["verdict"] == "pass"
