"""HTTP: the shapes clients rely on, every refusal a problem, nothing private in logs and metrics."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from bundle import SupportedMasks, write_bundle
from service.api.access import SCOPE_OF
from service.api.schemas import RecommendationPage
from service.errors import StartError
from service.recommend.recommender import Recommender


def test_a_recommendation_has_exactly_the_promised_shape(client):
    answer = client.get("/recommend?user=u0&sensitive=age,gender&k=2")

    page = answer.json()
    assert page == {
        "request_id": answer.headers["x-request-id"],
        "user": "u0",
        "model": {"name": "tiny", "version": "1"},
        "sensitive": {
            "requested": ["age", "gender"],
            "applied": [
                {"attribute": "gender", "source": "request"},
                {"attribute": "age", "source": "request"},
            ],
        },
        "balance": None,
        "items": [{"item": item["item"], "rank": item["rank"], "title": item["title"]} for item in page["items"]],
        "fallback": None,
        "next_cursor": page["next_cursor"],
    }
    assert isinstance(page["next_cursor"], str)
    assert client.get("/recommend?user=u0&k=12").json()["next_cursor"] is None
    assert [item["rank"] for item in page["items"]] == [1, 2]
    assert all(item["title"] == f"Item {item['item'][1:]}" for item in page["items"])
    TypeAdapter(RecommendationPage).validate_python(page, strict=True)


def test_a_title_that_is_empty_is_absent(a_bundle, a_client, tmp_path):
    bundle = a_bundle()
    untitled = dataclasses.replace(bundle, items=dataclasses.replace(bundle.items, titles=("",) * 12))
    client = a_client(folder=write_bundle(untitled, tmp_path))

    assert client.get("/recommend?user=u0&k=1").json()["items"][0].keys() == {"item", "rank"}


def test_scores_are_shown_only_where_the_operator_allows_them(a_client, oracle):
    client = a_client(settings={"scores": "audit"})

    items = client.get("/recommend?user=u3&sensitive=age&k=12").json()["items"]

    rows, scores = oracle(client.app.state.evenhand.runtime.recommender.model.bundle, 3, ("age",), 12)
    assert [(item["item"], item["score"]) for item in items] == [
        (f"i{row}", score) for row, score in zip(rows, scores.tolist(), strict=True)
    ]


def test_repeated_attributes_are_all_protected(client):
    applied = client.get("/recommend?user=u0&sensitive=gender&sensitive=age").json()["sensitive"]["applied"]

    assert [entry["attribute"] for entry in applied] == ["gender", "age"]


def test_default_and_required_apply_with_their_source(a_client):
    client = a_client(settings={"default": "gender", "required": "age"})

    def applied(query):
        entries = client.get(f"/recommend?user=u0{query}").json()["sensitive"]["applied"]
        return {entry["attribute"]: entry["source"] for entry in entries}

    assert applied("") == {"gender": "default", "age": "required"}
    assert applied("&sensitive=") == {"age": "required"}
    assert applied("&sensitive=age") == {"age": "request"}


def test_seen_and_excluded_items_are_dropped_before_counting(client):
    everything = client.items("/recommend?user=u0&k=12&exclude_seen=false")
    unseen = client.items("/recommend?user=u0&k=12")
    chosen = client.items(f"/recommend?user=u0&k=9&exclude={everything[0]}&exclude=i5,never-heard-of")

    assert len(everything) == 12
    assert unseen == [item for item in everything if item not in ("i1", "i2")]
    assert chosen == [item for item in unseen if item not in (everything[0], "i5")][:9]


def test_k_is_1_to_1000_and_fewer_come_only_where_fewer_are_left(a_client):
    client = a_client(seen={"u0": [f"i{row}" for row in range(10)]})

    assert len(client.items("/recommend?user=u1&k=1")) == 1
    assert len(client.items("/recommend?user=u1&k=1000")) == 12
    assert set(client.items("/recommend?user=u0")) == {"i10", "i11"}
    assert client.problem("/recommend?user=u1&k=0")["code"] == "invalid_query"
    assert client.problem("/recommend?user=u1&k=1001")["code"] == "invalid_query"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/recommend?user=u0&sensitve=gender", 422, "invalid_query"),
        ("/recommend?user=u0&sensitive=gender,", 422, "invalid_query"),
        ("/recommend", 422, "invalid_query"),
        ("/recommend?user=u0&sensitive=hair", 422, "unknown_attribute"),
        ("/recommend?user=ripley", 404, "unknown_user"),
        ("/recommend?user=" + "u" * 40_000, 414, "query_too_long"),
        ("/attributes?k=1", 422, "invalid_query"),
        ("/nowhere", 404, "not_found"),
        ("/recommend/", 404, "not_found"),
    ],
)
def test_every_refusal_is_a_problem_with_a_stable_code(client, path, status, code):
    problem = client.problem(path)

    assert (problem["status"], problem["code"], problem["type"]) == (status, code, f"urn:evenhand:problem:{code}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"]


def test_a_wrong_method_is_a_problem_that_names_the_right_one(client):
    answer = client.request("POST", "/recommend?user=u0")

    assert (answer.status_code, answer.headers["allow"], answer.json()["allowed"]) == (
        405,
        "GET, HEAD",
        ["GET", "HEAD"],
    )


def test_an_unsupported_combination_says_why_it_was_wanted_and_what_is_possible(a_client):
    masks = SupportedMasks(kind="list", masks=[["age"], ["gender", "age"]])
    client = a_client(settings={"required": "age"}, supported_masks=masks, attributes=("gender", "age", "occupation"))

    problem = client.problem("/recommend?user=u0&sensitive=occupation")

    assert problem["code"] == "unsupported_requirement"
    assert problem["supported_masks"] == {"kind": "list", "masks": [["age"], ["gender", "age"]]}
    assert problem["applied"] == [
        {"attribute": "age", "source": "required"},
        {"attribute": "occupation", "source": "request"},
    ]


def test_attributes_come_with_their_classes_and_masks(a_client):
    client = a_client(settings={"required": "age"})

    assert client.get("/attributes").json() == {
        "attributes": [
            {"name": "gender", "classes": ["F", "M"], "merged": {}},
            {"name": "age", "classes": ["under 30", "30-49", "50+"], "merged": {"50+": ["50-64", "65+"]}},
        ],
        "supported_masks": {"kind": "all", "masks": []},
        "always_protected": [],
        "required": ["age"],
        "default": [],
        "balance": {
            "target_from": None,
            "targets": ["uniform", "catalogue", "quotas"],
            "default": None,
            "weight": 0.5,
            "max_weight": 1.0,
        },
    }


def test_required_attributes_that_cannot_be_met_refuse_the_app(an_app):
    with pytest.raises(StartError, match="EVENHAND_REQUIRED names hair"):
        an_app(settings={"required": "hair"})


def test_every_response_has_an_id_of_its_own_whatever_the_client_sends(client):
    paths = ["/recommend?user=u0", "/recommend?user=u0", "/recommend?user=x", "/nowhere", "/metrics", "/health/live"]

    ids = [client.get(path, **{"x-request-id": "mine"}).headers["x-request-id"] for path in paths]

    assert len(set(ids)) == len(ids)
    assert "mine" not in ids


def test_what_nobody_expected_is_a_problem_without_internals_and_is_logged(capsys, client, monkeypatch):
    async def fail(*_):
        raise ValueError("the secret of u0")

    monkeypatch.setattr(Recommender, "recommend", fail)

    problem = client.problem("/recommend?user=u0")

    assert (problem["status"], problem["code"]) == (500, "internal_error")
    assert "secret" not in json.dumps(problem)
    assert client.get("/health/live").status_code == 200
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    (failure,) = (event for event in events if event["event"] == "request failed")
    assert failure["request_id"] == problem["request_id"]
    assert "ValueError" in failure["exception"]


def test_a_full_queue_and_a_late_answer_are_503_with_retry_after(an_app, run_app, monkeypatch):
    async def story() -> None:
        app = an_app(settings={"queue_size": 1, "deadline_s": 0.3})
        async with run_app(app) as http:
            recommender = app.state.evenhand.runtime.recommender
            block = asyncio.Event()
            loop = asyncio.get_running_loop()
            compute = recommender._batcher._compute

            def slow(*batch):
                asyncio.run_coroutine_threadsafe(block.wait(), loop).result(10)
                return compute(*batch)

            monkeypatch.setattr(recommender._batcher, "_compute", slow)
            asked = [asyncio.create_task(http.get("/recommend?user=u0")) for _ in range(2)]
            await asyncio.sleep(0.05)
            asked += [asyncio.create_task(http.get("/recommend?user=u0")) for _ in range(3)]
            answers = await asyncio.gather(*asked)
            block.set()
            await asyncio.sleep(0.2)

            codes = [answer.json()["code"] for answer in answers]
            assert set(codes) == {"deadline_exceeded", "queue_full"}
            assert all(answer.status_code == 503 and answer.headers["retry-after"] == "1" for answer in answers)
            assert (await http.get("/recommend?user=u0")).status_code == 200

    asyncio.run(story())


def test_ready_means_that_a_recommendation_would_be_answered(client, monkeypatch):
    parts = dict.fromkeys(("worker", "store", "model", "upkeep", "audits"), "ok")
    assert client.get("/health/ready").json() == {"status": "ready", "components": parts}

    monkeypatch.setattr("service.recommend.batcher.STALL_S", -1.0)

    assert client.problem("/health/ready")["code"] == "not_ready"
    assert client.get("/health/live").json() == {"status": "alive"}


def test_metrics_count_by_route_and_never_by_user(client):
    for path in ("/recommend?user=u0&sensitive=age,gender", "/recommend?user=u1", "/recommend?user=ripley", "/x", "/y"):
        client.get(path)

    text = client.get("/metrics").text

    assert 'evenhand_requests_total{route="/recommend",status="200"} 2.0' in text
    assert 'evenhand_requests_total{route="unmatched",status="404"} 2.0' in text
    assert 'evenhand_recommendations_total{protected="2",version="1"} 1.0' in text
    assert 'evenhand_refused_total{reason="unknown_user"} 1.0' in text
    assert 'name="tiny",version="1"' in text
    names = {line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")}
    assert {"evenhand_batch_size_count", "evenhand_queue_seconds_count", "evenhand_queue_depth"} <= names
    assert all(name.startswith("evenhand_") for name in names)
    assert not any(user in text for user in ("u0", "u1", "ripley"))


def test_apps_in_one_process_count_apart(a_client):
    one, other = a_client(version="1"), a_client(version="2")
    one.get("/recommend?user=u0")

    assert 'evenhand_recommendations_total{protected="0",version="1"} 1.0' in one.get("/metrics").text
    assert "evenhand_recommendations_total{" not in other.get("/metrics").text


def test_logs_carry_the_mask_and_timings_but_no_user_and_no_attribute_value(an_app, run_app, capsys):
    async def story() -> str:
        async with run_app(an_app(users=1, seed=3)) as http:
            await http.get("/recommend?user=u0&sensitive=gender")
            await http.get("/recommend?user=ripley")
            return (await http.get("/recommend?user=u0")).json()["request_id"]

    last = asyncio.run(story())
    lines = capsys.readouterr().err.splitlines()
    events = [json.loads(line) for line in lines]

    requests = [event for event in events if event["event"] == "request"]
    assert [event["status"] for event in requests] == [200, 404, 200]
    first, refused, final = requests
    assert (first["route"], first["protected"], first["bundle"]) == ("/recommend", ["gender"], "tiny/1")
    assert min(first["total_ms"], first["compute_ms"]) > 0
    assert refused["refused"] == "unknown_user"
    assert final["request_id"] == last
    ready = next(event for event in events if event["event"] == "ready")
    assert {"read_ms", "index_ms", "encoder_ms", "canary_ms"} <= ready.keys()
    assert events[-1]["event"] == "stopped"
    assert not any(word in line for line in lines for word in ('"u0"', "ripley", "=u0", '"F"', '"M"'))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["user", "sensitive", "k", "exclude", "x"]), st.text(max_size=8)), max_size=5)
)
def test_no_query_string_breaks_the_service(client, pairs):
    from urllib.parse import urlencode

    assert client.get(f"/recommend?{urlencode(pairs, errors='replace')}").status_code in (200, 404, 422)


def test_the_published_schema_is_the_one_that_is_served(client):
    hidden = {"/openapi.json", "/", "/ui/audits", "/ui/models", "/ui/static/{file}"}
    assert client.get("/openapi.json").json()["paths"].keys() == {path for _, path in SCOPE_OF} - hidden
    assert client.get("/docs").status_code == 404


def test_every_get_route_has_a_head_that_says_the_same_and_shows_nothing(client):
    for path in ("/recommend?user=u0", "/similar?item=i1", "/popular", "/attributes", "/models", "/", "/ui/audits",
                 "/health/live", "/health/ready", "/openapi.json", "/users/u0/requirement", "/audit/runs", "/nowhere",
                 "/recommend", "/ui/static/api.js"):  # fmt: skip
        got, head = client.get(path), client.request("HEAD", path)

        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]
    assert client.request("HEAD", "/metrics").status_code == 200
    assert client.request("HEAD", "/recommend/batch").status_code == 405
    assert client.request("POST", "/recommend").headers["allow"] == "GET, HEAD"


def test_head_is_counted_by_its_route(client):
    client.request("HEAD", "/audit/users/u0")

    assert 'route="/audit/users/{user}"' in client.get("/metrics").text


def test_a_probe_tells_nothing_but_parts_and_fixed_reasons(client, monkeypatch):
    """What a part says of its trouble may hold a key of the cache, the bytes of an answer, an address."""
    runtime = client.app.state.evenhand.runtime
    secret = "redis://10.0.0.7 GET evenhand:u42 -> female"
    monkeypatch.setattr(runtime.follower, "trouble", secret)
    monkeypatch.setattr(runtime.upkeep, "trouble", secret)
    degraded = client.get("/health/ready")
    monkeypatch.setattr(runtime.store.writer, "_problem", secret)
    lost = client.get("/health/ready")

    assert (degraded.status_code, {*degraded.json()["degraded"]}) == (200, {"model", "upkeep"})
    assert lost.status_code == 503
    for answer in (degraded, lost):
        assert "10.0.0.7" not in answer.text
        assert "u42" not in answer.text


def test_every_part_has_a_reason():
    from service.health import REASONS

    assert set(REASONS) == {"worker", "store", "model", "upkeep", "audits", "index", "redis", "news"}


def test_behind_a_proxy_that_takes_a_prefix_off_every_address_has_it(a_client):
    client = a_client(settings={"root_path": "/shop/evenhand"})

    for path in ("/", "/ui/audits", "/ui/models"):
        found = re.findall(r'(?:href|src)="(/[^"]*)"', client.get(path).text)
        assert len(found) > 8
        assert all(address.startswith("/shop/evenhand/") for address in found)
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/shop/evenhand"}]
    assert "/recommend" in client.get("/openapi.json").json()["paths"]


def test_without_a_prefix_nothing_names_one(client):
    assert "servers" not in client.get("/openapi.json").json()
    assert 'href="/ui/audits"' in client.get("/").text
