"""The request log over HTTP: pages, filters, files."""

from __future__ import annotations

import csv
import io
import json
import re
from urllib.parse import quote

import numpy as np
import pytest
from pydantic import SecretStr

from service.store import Purpose, register_model
from service.store.record import pack_names, pack_sources

ATTRIBUTES = ["gender", "age"]


@pytest.fixture
def a_logging_client(a_client, ready_url):
    """The builder of clients of services on SQLite and on PostgreSQL."""

    def make(*, settings=None, **bundle):
        return a_client(settings={"database_url": SecretStr(ready_url), **(settings or {})}, **bundle)

    return make


def page_of(client, query=""):
    answer = client.get(f"/audit/requests{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(page):
    return [one["request_id"] for one in page["requests"]]


def applied(sources):
    mask, letters = pack_sources(sources, ATTRIBUTES)
    return {"applied": mask, "sources": letters}


def test_a_page_has_what_was_answered_newest_first(a_logging_client):
    client = a_logging_client()
    first = client.get("/recommend?user=u1&k=2&sensitive=age").json()
    second = client.get("/popular?k=3").json()

    page = page_of(client)

    assert ids(page) == [second["request_id"], first["request_id"]]
    popular, personal = page["requests"]
    assert {key: personal[key] for key in personal if key not in ("time", "request_id")} == {
        "user": "u1",
        "purpose": "recommend",
        "key": None,
        "model": {"name": "tiny", "version": "1"},
        "requested": ["age"],
        "applied": [{"attribute": "age", "source": "request"}],
        "k": 2,
        "fallback": None,
        "cached": False,
        "shown": 2,
        "balance": None,
        "items": [item["item"] for item in first["items"]],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", personal["time"])
    assert (popular["user"], popular["requested"], popular["purpose"]) == (None, None, "popular")
    assert page["next_cursor"] is None


def test_pages_have_every_list_once_while_new_ones_are_logged(a_logging_client):
    client = a_logging_client()
    old = client.log(*({"user": f"u{step % 6}", "time_us": step} for step in range(25)))
    found, cursor, pages = [], "", 0

    while cursor is not None:
        page = page_of(client, f"?limit=7&cursor={cursor}" if cursor else "?limit=7")
        found += ids(page)
        cursor, pages = page["next_cursor"], pages + 1
        client.log({"user": "u0"}, {"user": "u1"})

    assert (found, pages) == (old[::-1], 4)
    assert len(ids(page_of(client, "?limit=1000"))) == 33


def test_filters_leave_what_was_asked_for(a_logging_client):
    client = a_logging_client()
    other = client.change(register_model, "tiny", "2", "f" * 64, ["age", "gender"])
    lists = {
        "old": {"user": "u0", "time_us": 10, **applied({"gender": "request"})},
        "both": {"user": "u1", "time_us": 20, **applied({"gender": "user", "age": "user"}), "purpose": Purpose.UI},
        "other": {"user": "u0", "time_us": 30, "applied": 1, "sources": "r", "model_id": other.id},
        "nobody": {"time_us": 40, "purpose": Purpose.POPULAR},
    }
    names = dict(zip(client.log(*map(dict, lists.values())), lists, strict=True))

    def found(query):
        return [names[one] for one in ids(page_of(client, f"?{query}"))[::-1]]

    by_name = {name: request_id for request_id, name in names.items()}
    assert found("user=u0") == ["old", "other"]
    assert found("user=nobody") == []
    assert found("attribute=gender") == ["old", "both"]
    assert found("attribute=age") == ["both", "other"]
    assert found("version=2") == ["other"]
    assert found("purpose=ui") == ["both"]
    assert found("purpose=ui,popular") == found("purpose=ui&purpose=popular") == ["both", "nobody"]
    assert found(f"request_id={by_name['other']}") == ["other"]
    assert found("since=1970-01-01T00:00:00.000020Z&until=1970-01-01T00:00:00.000040Z") == ["both", "other"]
    assert found("user=u0&attribute=gender") == ["old"]
    assert {one["items"] is None for one in page_of(client, "?version=2")["requests"]} == {True}
    assert page_of(client, "?version=2")["requests"][0]["shown"] == 1


def test_a_pseudonymised_log_is_filtered_by_the_id_and_shows_the_pseudonym(a_client):
    client = a_client(settings={"pseudonym_secret": SecretStr("a secret of some length")})
    client.log({"user": "u0"}, {"user": "u1"})

    (row,) = page_of(client, "?user=u0")["requests"]

    assert re.fullmatch("hmac-sha256:[0-9a-f]{32}", row["user"])
    assert "u0" not in client.get("/audit/requests?format=csv").text


def test_a_cursor_belongs_to_its_filter_and_not_to_its_limit(client):
    client.log(*({"user": "u0"} for _ in range(5)))
    cursor = page_of(client, "?limit=2&user=u0")["next_cursor"]

    assert len(ids(page_of(client, f"?limit=3&user=u0&cursor={cursor}"))) == 3
    forged = cursor[:-1] + ("B" if cursor.endswith("A") else "A")
    for query in (f"cursor={cursor}", f"user=u1&cursor={cursor}", f"user=u0&cursor={forged}", "cursor=x"):
        problem = client.problem(f"/audit/requests?{query}")
        assert (problem["status"], problem["code"], problem["errors"][0]["field"]) == (422, "invalid_query", "cursor")
    other = client.get("/recommend?user=u0&k=2").json()["next_cursor"]
    assert client.problem(f"/audit/requests?cursor={other}")["code"] == "invalid_query"


def test_an_old_cursor_is_stale(a_client):
    client = a_client(settings={"cursor_ttl_s": 1})
    client.log({"user": "u0"}, {"user": "u0"})
    cursor = page_of(client, "?limit=1")["next_cursor"]
    cursors = client.app.state.evenhand.runtime.cursors
    clock = cursors._clock
    cursors._clock = lambda: clock() + 2

    problem = client.problem(f"/audit/requests?limit=1&cursor={cursor}")

    assert (problem["status"], problem["code"], problem["reason"]) == (409, "stale_cursor", "expired")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=1&limit=2", "limit"),
        ("format=xml", "format"),
        ("format=csv&limit=5", "limit"),
        ("format=ndjson&cursor=x", "cursor"),
        ("purpose=test", "purpose"),
        ("purpose=", "purpose"),
        ("request_id=1", "request_id"),
        ("attribute=hair", "attribute"),
        ("version=9", "version"),
        ("user=", "user"),
        ("since=today", "since"),
        ("until=2026-02-30T00:00:00Z", "until"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
        ("usr=u0", "usr"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(client, query, field):
    problem = client.problem(f"/audit/requests?{query}")

    assert (problem["status"], problem["code"]) == (422, "invalid_query")
    (error,) = problem["errors"]
    assert (error["field"], error["value"] is not None, bool(error["allowed"])) == (field, True, True)


def test_an_unknown_version_or_attribute_is_refused_with_the_known_ones(client):
    assert client.problem("/audit/requests?attribute=hair")["errors"][0]["allowed"] == ATTRIBUTES
    assert client.problem("/audit/requests?version=9")["errors"][0]["allowed"] == ["1"]


def test_lines_of_json_are_the_whole_log_oldest_first(a_logging_client, monkeypatch):
    monkeypatch.setattr("service.api.log.CHUNK", 4)
    client = a_logging_client()
    logged = client.log(*({"user": f"u{step % 3}", "items": [step]} for step in range(11)))

    answer = client.get("/audit/requests?format=ndjson")
    some = client.get("/audit/requests?format=ndjson&user=u1")

    assert answer.headers["content-type"] == "application/x-ndjson"
    name = r'attachment; filename="evenhand-requests-\d{4}-\d\d-\d\dT\d{6}Z\.ndjson"'
    assert re.fullmatch(name, answer.headers["content-disposition"])
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["request_id"] for row in rows] == logged
    assert rows == page_of(client)["requests"][::-1]
    assert [row["items"] for row in rows] == [[f"i{step}"] for step in range(11)]
    assert {json.loads(line)["user"] for line in some.text.splitlines()} == {"u1"}


def test_a_table_has_a_header_and_a_row_for_each_list(a_logging_client, monkeypatch):
    monkeypatch.setattr("service.api.log.CHUNK", 2)
    client = a_logging_client()
    client.log(
        {"user": "u0", "items": [3, 1], "requested": pack_names(["age"], ATTRIBUTES), **applied({"age": "request"})},
        {"user": 'a "quoted", long\nname', "items": []},
        {"fallback": "popular", "cached": True, "purpose": Purpose.SESSION, "requested": 0},
    )

    answer = client.get("/audit/requests?format=csv")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"].endswith('.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    pages = page_of(client)["requests"][::-1]
    assert [row["request_id"] for row in rows] == [one["request_id"] for one in pages]
    assert [row["user"] for row in rows] == ["u0", 'a "quoted", long\nname', ""]
    assert (rows[0]["model"], rows[0]["version"], rows[0]["shown"]) == ("tiny", "1", "2")
    assert json.loads(rows[0]["items"]) == ["i3", "i1"]
    assert json.loads(rows[0]["applied"]) == [{"attribute": "age", "source": "request"}]
    assert [row["requested"] for row in rows] == ['["age"]', "", "[]"]
    assert [(row["purpose"], row["fallback"], row["cached"]) for row in rows[1:]] == [
        ("recommend", "", "false"),
        ("session", "popular", "true"),
    ]


@pytest.mark.parametrize("user", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")'])
def test_no_cell_is_a_formula(a_client, user):
    client = a_client()
    client.log({"user": user})

    (row,) = csv.DictReader(io.StringIO(client.get("/audit/requests?format=csv").text, newline=""))

    assert row["user"] == f"'{user}"


def test_an_empty_log_is_an_empty_page_a_header_or_nothing(client):
    assert page_of(client) == {"requests": [], "next_cursor": None}
    assert client.get("/audit/requests?format=ndjson").text == ""
    header = client.get("/audit/requests?format=csv").text
    assert header.splitlines()[0].startswith("request_id,time,user,purpose,key,model,version,")
    assert len(header.splitlines()) == 1


def test_a_stream_ends_although_lists_are_logged_meanwhile(client, monkeypatch):
    monkeypatch.setattr("service.api.log.CHUNK", 1)
    logged = client.log(*({"user": "u0"} for _ in range(3)))
    store = client.app.state.evenhand.runtime.store
    export = store.export_log

    async def growing(wanted, chunk):
        async for rows in export(wanted, chunk):
            state = client.app.state.evenhand
            await state.runtime.recommender.recommend(*_somebody())
            yield rows

    monkeypatch.setattr(store, "export_log", growing)

    lines = client.get("/audit/requests?format=ndjson").text.splitlines()

    assert [json.loads(line)["request_id"] for line in lines] == logged


def _somebody():
    from service.api.request_context import new_request_id
    from service.recommend.queries import UserQuery
    from service.recommend.recommender import Asker

    return UserQuery("u1"), Asker(new_request_id(), Purpose.RECOMMEND)


def test_a_lost_database_is_a_problem_and_not_half_a_file(a_client, postgres, ready_postgres):
    client = a_client(settings={"database_url": SecretStr(ready_postgres)})
    client.log({"user": "u0"})
    postgres.stop()

    try:
        answers = [client.get(f"/audit/requests?format={form}") for form in ("json", "csv", "ndjson")]
    finally:
        postgres.start()

    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert "content-disposition" not in answer.headers


def test_requirements_are_counted_by_what_was_applied_and_by_whom(a_logging_client):
    client = a_logging_client(settings={"default": "age"})
    client.request("PUT", "/users/u1/requirement", json={"attributes": ["gender"]})
    for query in ("user=u0", "user=u0&sensitive=", "user=u0&sensitive=gender", "user=u1&sensitive=gender", "user=u1"):
        client.get(f"/recommend?{query}")
    client.get("/popular")
    client.get("/audit/users/u0")

    page = client.get("/audit/requirements").json()

    assert (page["since"], page["lists"]) == (None, 5)
    found = {tuple(one["applied"]): (one["lists"], one["share"]) for one in page["requirements"]}
    assert found == {("age",): (1, 0.2), (): (1, 0.2), ("gender",): (2, 0.4), ("gender", "age"): (1, 0.2)}
    assert page["requirements"][0]["applied"] == ["gender"]
    assert page["attributes"] == [
        {
            "attribute": "gender",
            "requested": 2,
            "lists": 3,
            "by_source": {"request": 2, "default": 0, "user": 1, "required": 0, "bundle": 0},
        },
        {
            "attribute": "age",
            "requested": 0,
            "lists": 2,
            "by_source": {"request": 0, "default": 2, "user": 0, "required": 0, "bundle": 0},
        },
    ]


def test_requirements_of_some_time_and_of_bundles_that_knew_other_attributes(a_logging_client):
    client = a_logging_client()
    other = client.change(register_model, "tiny", "0", "e" * 64, ["height", "age"])
    client.log(
        {"user": "u0", "time_us": 5, **applied({"gender": "request"})},
        {"user": "u0", "time_us": 15, "model_id": other.id, "applied": 3, "sources": "bd", "requested": 1},
    )

    page = client.get("/audit/requirements?since=1970-01-01T00:00:00.000010Z").json()

    assert [(one["applied"], one["lists"]) for one in page["requirements"]] == [(["age", "height"], 1)]
    assert [one["attribute"] for one in page["attributes"]] == ["gender", "age", "height"]
    assert page["attributes"][2]["by_source"]["bundle"] == 1
    empty = client.get("/audit/requirements?until=1970-01-01T00:00:00Z").json()
    assert (empty["lists"], empty["requirements"]) == (0, [])
    assert client.problem("/audit/requirements?by=age")["errors"][0]["field"] == "by"


def test_everything_of_a_user_names_items_of_versions_in_the_models_folder(a_client, a_bundle_folder):
    first = a_bundle_folder(version="1", users=6)
    client = a_client(folder=first)
    shown = client.get("/recommend?user=u0&k=3").json()["items"]
    a_bundle_folder(version="2", seed=8)
    assert client.request("POST", "/models/2/activate").status_code == 200
    gone = client.change(register_model, "tiny", "0", "d" * 64, ATTRIBUTES)
    client.log({"user": "u0", "items": [4], "model_id": gone.id})

    named, counted = client.get("/users/u0/data").json()["requests"]

    assert (named["model"]["version"], named["items"]) == ("1", [item["item"] for item in shown])
    assert (counted["items"], counted["shown"]) == (None, 1)


def test_ids_of_any_kind_can_be_asked_for(a_logging_client):
    client = a_logging_client()
    for user in ("a/b", "100%", "é ü", "?&#", "a,b", "' OR 1=1 --"):
        (request_id,) = client.log({"user": user})
        assert ids(page_of(client, f"?user={quote(user, safe='')}")) == [request_id]


def test_a_thousand_lists_fit_on_a_page(client):
    rng = np.random.default_rng(0)
    client.log(*({"user": "u0", "items": rng.permutation(12)[:10]} for _ in range(1001)))

    page = page_of(client, "?limit=1000")

    assert len(page["requests"]) == 1000
    assert len(ids(page_of(client, f"?limit=1000&cursor={page['next_cursor']}"))) == 1


def test_the_key_is_named(a_keyed_client):
    client, keys = a_keyed_client()
    client.get("/recommend?user=u0", authorization=f"Bearer {keys['recommend']}")

    page = client.get("/audit/requests", authorization=f"Bearer {keys['audit']}").json()

    assert [one["key"] for one in page["requests"]] == ["recommend"]


def test_each_list_of_a_users_audit_counts_as_a_request_of_the_key(a_keyed_client):
    client, keys = a_keyed_client(settings={"rate_limit": "9/hour"})
    headers = {"authorization": f"Bearer {keys['audit']}"}

    answers = [client.get("/audit/users/u0", **headers).status_code for _ in range(3)]

    assert answers == [200, 200, 429]
    assert {row.key for row in client.logged()} == {"audit"}
