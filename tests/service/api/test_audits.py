"""Audit runs over HTTP: asked for, looked at, set side by side; and every way to be refused."""

from __future__ import annotations

from typing import Any

import pytest

from bundle import SupportedMasks
from measure.audit import Thresholds
from service.audit.child import Child
from service.audit.request import AuditRequest
from service.audit.result import make_result
from service.model.loaded import load_model
from service.store import claim_run, finish_run

QUICK = {"masks": [[], ["gender"]], "metrics": ["accuracy", "leakage", "overlap"]}


class Waiting:
    """In the place of a child: at work until it is ended."""

    status: int | None = None

    def progress(self):
        return "attacking fair vectors", 0.25

    async def end(self):
        self.status = 0


@pytest.fixture(autouse=True)
def nothing_is_started(monkeypatch):
    """Runs stay where they are; what is measured is put there by the tests."""
    monkeypatch.setattr("service.audit.runs.LOOK_S", 0.05)
    monkeypatch.setattr("service.audit.runs.REPORT_S", 0.02)
    monkeypatch.setattr("service.audit.runs.TICK_S", 0.02)
    monkeypatch.setattr(Child, "start", lambda *_: Waiting())


@pytest.fixture
def quiet(monkeypatch):
    """No run is ever claimed by the service."""

    async def none(self):
        return None

    monkeypatch.setattr("service.audit.runs.AuditRuns._claimed", none)


def queue(client, body=None, **headers):
    return client.post("/audit/runs", {} if body is None else body, **headers)


def queued(client, body=None):
    answer = queue(client, body)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def run_of(client, run):
    answer = client.get(f"/audit/runs/{run}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def finished(client, folder, body, seed=0):
    """A run that somebody has done, with a real result."""
    run = queued(client, body | {"seed": seed})
    result = make_result(load_model(folder, "cpu"), AuditRequest(**body, seed=seed), Thresholds())
    assert client.change(claim_run, "somebody", 0).id == run
    assert client.change(finish_run, run, "somebody", result, None, result["verdict"]["overall"])
    return run, result


def test_a_run_is_queued_with_everything_decided_and_found_under_its_location(a_client, quiet):
    client = a_client(attributes=("gender", "age"), version="7", seed=3)

    answer = queue(client)

    assert answer.status_code == 202
    assert answer.json() == {"id": answer.json()["id"], "status": "queued"}
    page = client.get(answer.headers["location"]).json()
    model = client.app.state.evenhand.runtime.recommender.model
    assert page == {
        "id": answer.json()["id"],
        "status": "queued",
        "progress": 0.0,
        "doing": None,
        "request": {
            "profile": "quick",
            "masks": [[], ["gender"], ["age"], ["gender", "age"]],
            "metrics": page["request"]["metrics"],
            "users": None,
            "seed": 3,
            "version": "7",
            "balance": None,
            "balance_weight": None,
        },
        "created": page["created"],
        "started": None,
        "ended": None,
        "error": None,
        "verdict": None,
        "model": {"name": "tiny", "version": "7", "content_hash": model.content_hash},
        "attempts": 0,
        "result": None,
    }
    assert len(page["request"]["metrics"]) == 13
    assert page["created"].endswith("Z")


def test_a_weight_without_a_balance_is_refused_as_in_a_request(a_client, quiet):
    client = a_client()

    answer = client.post("/audit/runs", {"balance_weight": 0.5})

    assert answer.status_code == 422
    asked = client.get("/recommend?user=u0&balance_weight=0.5").json()
    assert {name: answer.json()[name] for name in ("code", "errors")} == {
        name: asked[name] for name in ("code", "errors")
    }


def test_a_run_is_balanced_as_the_operator_balances_lists(a_client, quiet):
    client = a_client(settings={"balance": "uniform", "balance_weight": 0.25})

    served, plain = (run_of(client, queued(client, body))["request"] for body in ({}, {"balance": "none"}))

    assert (served["balance"], served["balance_weight"]) == ("uniform", 0.25)
    assert (plain["balance"], plain["balance_weight"]) == (None, None)
    assert len(served["metrics"]) == 13


def test_a_run_tells_how_far_it_is(client, soon):
    run = queued(client)

    soon(lambda: run_of(client, run)["doing"] == "attacking fair vectors")

    page = run_of(client, run)
    assert (page["status"], page["progress"], page["attempts"]) == ("running", 0.25, 1)
    assert page["started"] >= page["created"]


def test_runs_are_listed_newest_first_without_their_results(a_client, a_measurable_folder, quiet):
    folder = a_measurable_folder()
    client = a_client(folder=folder)
    done, result = finished(client, folder, {"metrics": ["accuracy"], "masks": [[]]})
    later = [queued(client) for _ in range(2)]

    page = client.get("/audit/runs").json()

    assert [run["id"] for run in page["runs"]] == [*reversed(later), done]
    assert [run["status"] for run in page["runs"]] == ["queued", "queued", "done"]
    assert page["runs"][2]["verdict"] == result["verdict"]["overall"]
    assert not any("result" in run for run in page["runs"])
    assert [run["id"] for run in client.get("/audit/runs?limit=1").json()["runs"]] == [later[1]]


def test_what_a_run_found_is_json_and_a_page_that_runs_and_loads_nothing(a_client, a_measurable_folder, quiet):
    folder = a_measurable_folder()
    client = a_client(folder=folder)
    run, result = finished(client, folder, QUICK)

    page = run_of(client, run)
    report = client.get(f"/audit/runs/{run}/report")

    assert page["result"] == result
    assert (page["status"], page["progress"], page["verdict"]) == ("done", 1.0, result["verdict"]["overall"])
    assert report.status_code == 200
    assert report.headers["content-type"].startswith("text/html")
    policy = report.headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "default-src 'none'; style-src 'unsafe-inline'" in policy[0]
    assert "script-src" not in policy[0]
    assert "<script" not in report.text
    assert report.text.startswith("<!doctype html>")
    assert "gender" in report.text


def test_two_runs_are_set_side_by_side(a_client, a_measurable_folder, quiet):
    folder = a_measurable_folder()
    client = a_client(folder=folder)
    first, one = finished(client, folder, QUICK)
    second, _ = finished(client, folder, QUICK | {"metrics": ["leakage", "overlap"]}, seed=5)

    page = client.get(f"/audit/runs/{first}/comparison?with={second}").json()

    assert (page["first"]["id"], page["second"]["id"]) == (first, second)
    assert page["differs"] == [{"what": "seed", "first": 0, "second": 5}]
    assert page["verdict"]["first"] == one["verdict"]["overall"]
    assert all(row["second"] is None and row["difference"] is None for row in page["accuracy"])
    assert len(page["leakage"]) == len(one["card"]["leakage"]["by_mask"])
    row = next(row for row in page["leakage"] if row["target"] == "fair" and row["sensitive"] == ["gender"])
    assert row["difference"] == pytest.approx(row["second"]["auc"] - row["first"]["auc"])
    assert [row["metric"] for row in page["fairness"]] == ["jaccard@10", "rbo@10"]


def test_an_open_run_is_cancelled_and_kept_and_one_that_has_ended_is_deleted(client, soon):
    run = queued(client)
    soon(lambda: run_of(client, run)["status"] == "running")

    ended = client.request("DELETE", f"/audit/runs/{run}")

    assert (ended.status_code, ended.json()) == (200, {"id": run, "status": "cancelled"})
    page = run_of(client, run)
    assert (page["status"], page["doing"], page["ended"] is None) == ("cancelled", None, False)
    assert client.request("DELETE", f"/audit/runs/{run}").json() == {"id": run, "status": "deleted"}
    assert client.problem(f"/audit/runs/{run}")["code"] == "unknown_run"
    assert client.request("DELETE", f"/audit/runs/{run}").json()["code"] == "unknown_run"


def test_another_version_than_the_active_one_is_measured_where_it_is_asked_for(a_client, a_bundle_folder, quiet):
    client = a_client(folder=a_bundle_folder(version="1"))
    a_bundle_folder(version="2", attributes=("gender", "occupation"), seed=2)

    page = run_of(client, queued(client, {"version": "2", "masks": [["occupation"]]}))

    assert (page["model"]["version"], page["request"]["version"], page["request"]["seed"]) == ("2", "2", 2)
    assert page["model"]["content_hash"] != client.app.state.evenhand.runtime.recommender.model.content_hash
    assert queue(client, {"masks": [["occupation"]]}).json()["code"] == "unknown_attribute"


def test_a_run_measures_what_was_active_when_it_was_asked_for(a_client, a_bundle_folder, quiet):
    client = a_client(folder=a_bundle_folder(version="1"))
    a_bundle_folder(version="2", seed=2)

    before = queued(client)
    assert client.request("POST", "/models/2/activate").status_code == 200
    after = queued(client)

    assert [run_of(client, run)["model"]["version"] for run in (before, after)] == ["1", "2"]


def test_the_card_is_what_training_measured_on_any_version(a_client, a_bundle_folder):
    folders = [a_bundle_folder(version=version, seed=int(version)) for version in ("1", "2", "3")]
    client = a_client(folder=folders[0])
    (folders[2] / "card.json").write_text('{"accuracy": {"by_mask": [1]}, "leakage": {"by_mask": []}}')

    active, other = client.get("/audit/card").json(), client.get("/audit/card?version=2").json()

    assert active["card"] == other["card"] == {"accuracy": {"by_mask": []}, "leakage": {"by_mask": []}}
    assert (active["model"]["version"], other["model"]["version"]) == ("1", "2")
    assert active["model"]["content_hash"] == client.app.state.evenhand.runtime.recommender.model.content_hash
    assert other["model"]["content_hash"] != active["model"]["content_hash"]
    damaged = client.problem("/audit/card?version=3")
    assert (damaged["status"], damaged["code"]) == (422, "model_refused")
    assert damaged["reason"].startswith("card.json: ")
    assert client.problem("/audit/card?version=9")["allowed"] == ["3", "2", "1"]


def test_the_card_is_there_also_without_audit_data(a_client):
    assert a_client(with_audit=False).get("/audit/card").status_code == 200


@pytest.mark.parametrize(
    ("body", "code", "facts"),
    [
        ({"masks": [["gender", "shoe"]]}, "unknown_attribute", {"field": "masks", "value": "shoe"}),
        ({"masks": [["age"]]}, "unsupported_requirement", {"field": "masks"}),
        ({"metrics": ["luck"]}, "invalid_body", {}),
        ({"profile": "thorough"}, "invalid_body", {}),
        ({"users": 0}, "invalid_body", {}),
        ({"seed": -1}, "invalid_body", {}),
        ({"masks": []}, "invalid_body", {}),
        ({"mask": [["gender"]]}, "invalid_body", {}),
        ([], "invalid_body", {}),
        ("{", "invalid_body", {}),
        ('{"seed": 1, "seed": 2}', "invalid_body", {}),
    ],
)
def test_what_cannot_be_measured_is_422_and_names_it(a_client, quiet, body, code, facts):
    some = SupportedMasks(kind="list", masks=[[], ["gender"]])
    client = a_client(table=True, supported_masks=some)

    answer = queue(client, body)

    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (422, code)
    assert facts.items() <= problem.items()
    if code == "invalid_body":
        error = problem["errors"][0]
        assert error["field"].split(".")[0] in {*(body if isinstance(body, dict) else ()), "body", "seed"}
        assert error["reason"]
    else:
        assert problem.get("allowed", problem.get("supported_masks"))
    assert client.get("/audit/runs").json() == {"runs": []}


def test_every_other_refusal(a_client, a_bundle_folder, monkeypatch, quiet):
    monkeypatch.setattr("service.audit.runs.OPEN_AT_MOST", 1)
    client = a_client(folder=a_bundle_folder())
    without = a_client(with_audit=False, version="2")

    def refused(method, path, **options):
        answer = client.request(method, path, **options)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        return answer.status_code, answer.json()["code"]

    json = {"content_type": "application/json"}
    assert refused("POST", "/audit/runs") == (415, "unsupported_media_type")
    assert refused("POST", "/audit/runs?x=1", json={}) == (422, "invalid_query")
    assert refused("POST", "/audit/runs", json={"version": "9"}) == (404, "unknown_model")
    assert refused("POST", "/audit/runs", content=b" " * (2 << 20), **json)[0] in (413, 415)
    answer = queue(without)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_audit_data")
    run = queued(client)
    assert refused("POST", "/audit/runs", json={}) == (409, "too_many_runs")
    assert refused("GET", f"/audit/runs/{run}/report") == (409, "run_not_done")
    assert refused("GET", f"/audit/runs/{run}/comparison?with={run}") == (409, "run_not_done")
    assert refused("GET", f"/audit/runs/{run}/comparison") == (422, "invalid_query")
    assert refused("GET", f"/audit/runs/{run}/comparison?with={run}&with={run}") == (422, "invalid_query")
    assert refused("GET", f"/audit/runs/{run}/comparison?with=none") == (404, "unknown_run")
    for path in ("none", "none/report", f"none/comparison?with={run}"):
        assert refused("GET", f"/audit/runs/{path}") == (404, "unknown_run")
    assert refused("DELETE", "/audit/runs/none") == (404, "unknown_run")
    for path in (f"{run}?x=1", f"{run}/report?x=1", f"{run}/comparison?with={run}&x=1"):
        assert refused("GET", f"/audit/runs/{path}") == (422, "invalid_query")
    for query in ("limit=0", "limit=1001", "limit=many", "limit=1&limit=2", "limt=1"):
        assert refused("GET", f"/audit/runs?{query}") == (422, "invalid_query")
    assert refused("GET", "/audit/card?version=") == (422, "invalid_query")
    assert refused("PUT", "/audit/runs") == (405, "method_not_allowed")


def test_the_id_of_the_other_run_is_named_where_that_is_unknown(a_client, a_measurable_folder, quiet):
    folder = a_measurable_folder()
    client = a_client(folder=folder)
    run, _ = finished(client, folder, {"metrics": ["accuracy"], "masks": [[]]})

    problem = client.problem(f"/audit/runs/{run}/comparison?with=none")

    assert (problem["field"], problem["value"]) == ("with", "none")
