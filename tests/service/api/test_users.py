"""What is stored of a user over HTTP: requirement, everything, its end."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import SupportedMasks

LIST = SupportedMasks(kind="list", masks=[["age"], ["gender", "age"]])


def applied(client, user="u0", query=""):
    answer = client.get(f"/recommend?user={user}{query}")
    assert answer.status_code == 200, answer.text
    return {one["attribute"]: one["source"] for one in answer.json()["sensitive"]["applied"]}


def put(client, attributes, user="u0"):
    return client.request("PUT", f"/users/{user}/requirement", json={"attributes": attributes})


def test_a_stored_requirement_is_applied_by_the_very_next_answer(client):
    assert applied(client) == {}

    stored = put(client, ["age", "gender", "age"]).json()

    assert (stored["user"], stored["attributes"], stored["stored"]) == ("u0", ["gender", "age"], True)
    assert applied(client) == {"gender": "user", "age": "user"}
    assert applied(client, query="&sensitive=") == {"gender": "user", "age": "user"}
    assert applied(client, query="&sensitive=age") == {"gender": "user", "age": "request"}
    assert applied(client, "u1") == {}
    assert client.get("/users/u0/requirement").json() == stored

    removed = client.request("DELETE", "/users/u0/requirement").json()

    assert removed == {"user": "u0", "attributes": [], "stored": False, "changed": None}
    assert applied(client) == {}
    assert client.request("DELETE", "/users/u0/requirement").json() == removed


def test_an_unknown_attribute_is_refused_with_the_known_ones(client):
    answer = put(client, ["gender", "hair"])

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (422, "unknown_attribute", "attributes")
    assert problem["allowed"] == ["gender", "age"]
    assert client.get("/users/u0/requirement").json()["stored"] is False


def test_what_no_list_could_meet_is_refused_and_what_some_list_meets_is_stored(a_client):
    client = a_client(settings={"required": "age"}, supported_masks=LIST, attributes=("gender", "age", "occupation"))

    refused = put(client, ["occupation"]).json()

    assert refused["code"] == "unsupported_requirement"
    assert refused["supported_masks"]["masks"] == LIST.masks
    assert refused["applied"] == [
        {"attribute": "age", "source": "required"},
        {"attribute": "occupation", "source": "user"},
    ]
    assert put(client, ["gender"]).status_code == 200
    assert applied(client) == {"gender": "user", "age": "required"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"attributes": "gender"}',
        b'{"attributes": [1]}',
        b'{"attributes": null}',
        b'{"attributes": ["gender"], "attributes": []}',
        b'{"attributes": [], "more": 1}',
        b'{"attributes": NaN}',
        b'{"attributes": ["' + b"x" * 65 + b'"]}',
        b"[" * 100_000,
        b"\xff\xfe",
        '{"attributes": []}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_not_quite_right_changes_nothing(client, body):
    put(client, ["gender"])

    answer = client.request("PUT", "/users/u0/requirement", content=body, **{"content-type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert answer.json()["errors"]
    assert applied(client) == {"gender": "user"}


def test_a_body_must_say_that_it_is_json(client):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        headers = {"content-type": kind} if kind else {}
        answer = client.request("PUT", "/users/u0/requirement", content=b'{"attributes": []}', **headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    for kind in ("application/json", "Application/JSON; charset=utf-8"):
        answer = client.request("PUT", "/users/u0/requirement", content=b'{"attributes": []}', **{"content-type": kind})
        assert answer.status_code == 200


def test_unknown_query_parameters_are_refused_on_every_route_of_users(client):
    for method, path in [
        ("GET", "/users/u0/requirement"),
        ("PUT", "/users/u0/requirement"),
        ("DELETE", "/users/u0/requirement"),
        ("GET", "/users/u0/data"),
        ("DELETE", "/users/u0"),
        ("DELETE", "/users/u0/suppression"),
        ("PUT", "/items/i0/hidden"),
        ("DELETE", "/items/i0/hidden"),
        ("POST", "/interactions"),
    ]:
        assert client.request(method, f"{path}?k=1").json()["code"] == "invalid_query"


def test_everything_stored_of_a_user_is_exported_and_nothing_of_another(client):
    put(client, ["age"])
    put(client, ["gender"], "u1")
    for user, item in (("u0", "i3"), ("u0", "never-heard-of"), ("u1", "i4")):
        client.request("POST", "/interactions", json={"user": user, "item": item, "rating": 4})
    lists = [client.get(f"/recommend?user=u0&k={k}&sensitive=gender").json() for k in (1, 3)]
    client.get("/recommend?user=u1")

    data = client.get("/users/u0/data").json()

    assert (data["user"], data["suppressed"]) == ("u0", False)
    assert data["requirement"]["attributes"] == ["age"]
    assert [(one["item"], one["rating"]) for one in data["interactions"]] == [("i3", 4.0), ("never-heard-of", 4.0)]
    assert [row["request_id"] for row in data["requests"]] == [one["request_id"] for one in lists]
    assert [row["items"] for row in data["requests"]] == [[i["item"] for i in one["items"]] for one in lists]
    assert data["requests"][0]["applied"] == lists[0]["sensitive"]["applied"]
    assert "u1" not in client.get("/users/u0/data").text


def test_the_export_of_an_unknown_user_is_empty(client):
    assert client.get("/users/nobody/data").json() == {
        "user": "nobody",
        "suppressed": False,
        "requirement": None,
        "interactions": [],
        "requests": [],
    }


def test_a_long_log_is_exported_whole(client, monkeypatch):
    monkeypatch.setattr("service.api.export.CHUNK", 3)
    shown = [client.get(f"/recommend?user=u0&k={k}").json()["request_id"] for k in range(1, 9)]

    assert [row["request_id"] for row in client.get("/users/u0/data").json()["requests"]] == shown


def test_an_erased_user_leaves_nothing_and_gets_nothing_until_that_is_lifted(client):
    user = "ripley-of-the-nostromo"
    put(client, ["age"], user)
    client.request("POST", "/interactions", json=[{"user": user, "item": "i3"}, {"user": user, "item": "i4"}])
    client.get(f"/recommend?user={user}&fallback=popular")

    erased = client.request("DELETE", f"/users/{user}").json()

    assert {key: erased[key] for key in ("requirement", "interactions", "suppressed")} == {
        "requirement": True,
        "interactions": 2,
        "suppressed": True,
    }
    again = client.request("DELETE", f"/users/{user}").json()
    assert (again["requirement"], again["interactions"], again["requests"]) == (False, 0, 0)
    data = client.get(f"/users/{user}/data").json()
    assert (data["requirement"], data["interactions"], data["requests"]) == (None, [], [])
    assert data["suppressed"] is True
    refused = put(client, ["age"], user)
    assert (refused.status_code, refused.json()["code"]) == (409, "user_suppressed")
    posted = client.request("POST", "/interactions", json={"user": user, "item": "i3"}).json()
    assert posted == {"taken": 0, "suppressed": 1}

    lifted = [client.request("DELETE", f"/users/{user}/suppression").json()["lifted"] for _ in range(2)]

    assert lifted == [True, False]
    assert put(client, ["age"], user).status_code == 200


def test_after_erasure_the_database_holds_the_id_once_to_suppress_it_and_nothing_else(client, tmp_path):
    user = "ripley-of-the-nostromo"
    put(client, ["age"], user)
    client.request("POST", "/interactions", json=[{"user": user, "item": f"i{i}"} for i in range(9)])
    for _ in range(5):
        client.get("/recommend?user=u0")
        client.get(f"/recommend?user={user}&fallback=popular")

    client.request("DELETE", f"/users/{user}")

    store = client.app.state.evenhand.runtime.store
    with store.database.writing() as tx:
        tables = {
            row[0]: [column[1] for column in tx.connection.exec_driver_sql(f"PRAGMA table_info({row[0]})")]
            for row in tx.connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").all()
        }
        found = {
            table: count
            for table, columns in tables.items()
            for count in [
                tx.connection.exec_driver_sql(
                    f"SELECT count(*) FROM {table} WHERE "
                    + " OR ".join(f"instr(CAST({column} AS BLOB), CAST('{user}' AS BLOB))" for column in columns)
                ).scalar()
            ]
            if count
        }
    assert found == {"erased_users": 1}


def test_ids_with_slashes_spaces_and_percent_signs_are_whole(client):
    for user in ("a/requirement", "a/b/c", "100%", "%2F", "é ü", "?&#", "a%2Fb/c"):
        path = f"/users/{quote(user, safe='')}"
        assert client.request("PUT", f"{path}/requirement", json={"attributes": ["age"]}).json()["user"] == user
        assert client.get(f"{path}/requirement").json()["stored"] is True
        assert client.request("DELETE", path).json()["user"] == user
        assert client.get(f"{path}/requirement").json()["stored"] is False
    assert client.get("/users/a/requirement").json()["stored"] is False


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    user=st.text(max_size=300).filter(lambda user: user not in (".", "..")),
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
    body=st.binary(max_size=50),
)
def test_no_id_and_no_body_breaks_the_service(client, user, method, body):
    path = f"/users/{quote(user, safe='', errors='replace')}/requirement"

    answer = client.request(method, path, content=body, **{"content-type": "application/json"})

    assert answer.status_code in (200, 404, 409, 422), answer.text
