"""Every route × every kind of key, from the table of routes: a new route is tested by itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from service.access import SCOPES
from service.api.access import SCOPE_OF, guard
from service.commands import end_key, make_key

ROOT = Path(__file__).parents[3]
GUARDED = [(method, path, scope) for (method, path), scope in SCOPE_OF.items() if scope is not None]
PUBLIC = [(method, path) for (method, path), scope in SCOPE_OF.items() if scope is None]


def ask(client, route, authorization=None):
    method, path = route[:2]
    filled = path.format(user="u0", item="i0", version="9", id="1", file="house.css")
    given = {} if authorization is None else {"authorization": authorization}
    return client.request(method, filled, **given)


def _is_hidden(client, route):
    """The schema itself, and the web pages: nothing that a program would ask for."""
    return any(
        one.path == route[1] and route[0] in one.methods and not one.include_in_schema for one in client.app.routes
    )


def test_every_route_of_the_app_is_in_the_table_and_nothing_else_is(client):
    served = {(method, route.path) for route in client.app.routes for method in route.methods}

    assert served == SCOPE_OF.keys()


def test_a_route_that_is_not_in_the_table_cannot_be_served():
    async def anything():
        """Nothing."""

    with pytest.raises(KeyError):
        guard([APIRoute("/forgotten", anything)])


def test_the_published_schema_names_the_scope_of_every_operation(client):
    schema = client.get("/openapi.json").json()

    published = {
        (method.upper(), path): operation["security"]
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    }
    expected = {
        route: [] if scope is None else [{"key": [scope]}]
        for route, scope in SCOPE_OF.items()
        if not _is_hidden(client, route)
    }
    assert published == expected
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for (method, path), security in published.items():
        answers = schema["paths"][path][method.lower()]["responses"].keys()
        assert ({"401", "403", "429"} <= answers) == bool(security)


def test_each_route_opens_to_its_scope_alone(a_keyed_client):
    client, keys = a_keyed_client()

    for route in GUARDED:
        for scope in SCOPES:
            answer = ask(client, route, f"Bearer {keys[scope]}")
            if scope == route[2]:
                assert answer.status_code not in (401, 403), (route, answer.text)
            else:
                assert answer.status_code == 403, (route, scope, answer.text)
                problem = answer.json()
                assert (problem["code"], problem["scope"]) == ("scope_missing", route[2])
                assert f'scope="{route[2]}"' in answer.headers["www-authenticate"]


def test_no_route_opens_to_no_key_or_a_key_that_is_not_valid(a_keyed_client, soon):
    client, keys = a_keyed_client()
    url = client.app.state.evenhand.runtime.store.database.url.render_as_string(hide_password=False)
    good, revoked = keys["all"], make_key(url, "revoked", SCOPES, None)
    expired = make_key(url, "expired", SCOPES, 4_000_000)
    soon(lambda: ask(client, GUARDED[0], f"Bearer {expired}").status_code != 401)
    soon(lambda: ask(client, GUARDED[0], f"Bearer {revoked}").status_code != 401)
    end_key(url, "revoked")
    soon(lambda: ask(client, GUARDED[0], f"Bearer {revoked}").status_code == 401)
    soon(lambda: ask(client, GUARDED[0], f"Bearer {expired}").status_code == 401)
    wrong = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer evh_x",
        f"Bearer {good[:-1]}",
        f"Bearer {good}x",
        f"Bearer {good.upper()}",
    ]
    wrong += [f"Basic {good}", good, f"Bearer {good} {good}", f"Bearer {revoked}", f"Bearer {expired}", "Bearer \x7f"]

    for route in GUARDED:
        answer = ask(client, route)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing"), route
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        for authorization in wrong:
            answer = ask(client, route, authorization)
            assert (answer.status_code, answer.json()["code"]) == (401, "key_invalid"), (route, authorization)
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert ask(client, route, f"bearer {good}").status_code not in (401, 403)


def test_probes_metrics_and_schema_need_no_key(a_keyed_client):
    client, _ = a_keyed_client()

    for route in PUBLIC:
        assert ask(client, route).status_code == 200
        assert ask(client, route, "Bearer nonsense").status_code == 200


def test_two_keys_in_one_request_are_refused(a_keyed_client):
    client, keys = a_keyed_client()

    answer = client._portal.call(
        lambda: client._http.get(
            "/attributes", headers=[("authorization", f"Bearer {keys['all']}"), ("authorization", "Bearer x")]
        )
    )

    assert answer.status_code == 401


def test_without_any_key_everyone_has_every_scope_and_no_limit(a_client):
    client = a_client(settings={"rate_limit": "1/hour"})

    for route in GUARDED * 2:
        assert ask(client, route).status_code not in (401, 403, 429)


def test_the_first_key_closes_the_service_and_no_revocation_opens_it_again(client, soon):
    url = client.app.state.evenhand.runtime.store.database.url.render_as_string(hide_password=False)
    assert client.get("/attributes").status_code == 200

    key = make_key(url, "first", ["recommend"], None)
    soon(lambda: client.get("/attributes").status_code == 401)
    assert client.get("/attributes", authorization=f"Bearer {key}").status_code == 200
    end_key(url, "first")

    soon(lambda: client.get("/attributes", authorization=f"Bearer {key}").status_code == 401)
    assert client.get("/attributes").status_code == 401


def test_a_key_of_another_process_opens_a_running_service(a_keyed_client, soon):
    client, _ = a_keyed_client()
    url = client.app.state.evenhand.runtime.store.database.url.render_as_string(hide_password=False)

    made = subprocess.run(
        [sys.executable, "-m", "service", "keys", "create", "late", "--scopes", "recommend", "--url", url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    key = made.stdout.strip()
    soon(lambda: client.get("/attributes", authorization=f"Bearer {key}").status_code == 200)


def test_each_key_has_its_own_rate_limit(a_keyed_client):
    client, keys = a_keyed_client(settings={"rate_limit": "3/hour"})

    answers = [client.get("/attributes", authorization=f"Bearer {keys['recommend']}") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[3].json()["code"] == "rate_limited"
    assert 3000 < int(answers[3].headers["retry-after"]) <= 3600
    assert client.get("/attributes", authorization=f"Bearer {keys['all']}").status_code == 200
    assert client.get("/health/live").status_code == 200


def test_a_batch_counts_as_the_requests_in_it(a_keyed_client):
    client, keys = a_keyed_client(settings={"rate_limit": "10/hour"})

    def batch(size):
        body = {"requests": [{"user": "u0"}] * size}
        return client.request("POST", "/recommend/batch", json=body, authorization=f"Bearer {keys['recommend']}")

    assert [batch(size).status_code for size in (4, 6, 1)] == [200, 200, 429]


def test_logs_name_the_key_and_never_hold_it(a_keyed_client, capsys):
    client, keys = a_keyed_client()
    client.get("/recommend?user=u0", authorization=f"Bearer {keys['recommend']}")
    client.get("/recommend?user=u0", authorization=f"Bearer {keys['admin']}")
    client.get("/recommend?user=u0", authorization="Bearer evh_wrong")

    client.get("/health/live")
    client.get("/health/live")
    lines = capsys.readouterr().err.splitlines()

    requests = [one for one in map(json.loads, lines) if one["event"] == "request"]
    assert [(one["key"], one["refused"]) for one in requests] == [
        ("recommend", None),
        ("admin", "scope_missing"),
        (None, "key_invalid"),
    ]
    assert not any(word in line for line in lines for word in (*keys.values(), "evh_", "u0"))
