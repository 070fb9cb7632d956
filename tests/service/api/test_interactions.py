"""Feedback: seen at once, taken once."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def post(client, body, **headers):
    return client.request("POST", "/interactions", json=body, **headers)


def stored(client, user="u0"):
    return [one["item"] for one in client.get(f"/users/{user}/data").json()["interactions"]]


def test_a_posted_item_is_gone_from_the_very_next_list(client):
    first = client.items("/recommend?user=u0&k=3")

    assert post(client, {"user": "u0", "item": first[0]}).json() == {"taken": 1, "suppressed": 0}

    assert first[0] not in client.items("/recommend?user=u0&k=12")
    assert first[0] in client.items("/recommend?user=u0&k=12&exclude_seen=false")
    assert client.items("/recommend?user=u0&k=3")[:2] == first[1:]


def test_a_list_is_taken_whole_or_not_at_all(client):
    rows = [{"user": "u0", "item": f"i{i}"} for i in range(3)]

    refused = post(client, [*rows, {"user": "u0"}])

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_body")
    assert stored(client) == []
    assert post(client, rows).json() == {"taken": 3, "suppressed": 0}
    assert stored(client) == ["i0", "i1", "i2"]


def test_items_and_users_that_the_bundle_does_not_know_are_kept(client):
    post(client, {"user": "newcomer", "item": "not-yet-known"})

    assert stored(client, "newcomer") == ["not-yet-known"]


def test_the_same_request_again_is_answered_the_same_and_taken_once(client):
    body = {"user": "u0", "item": "i5"}

    first, again = (post(client, body, **{"idempotency-key": "abc"}) for _ in range(2))

    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert stored(client) == ["i5"]
    other = post(client, {"user": "u0", "item": "i6"}, **{"idempotency-key": "abc"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert stored(client) == ["i5"]
    assert post(client, body).json()["taken"] == 1
    assert stored(client) == ["i5", "i5"]


def test_keys_of_two_callers_do_not_meet(a_keyed_client):
    client, keys = a_keyed_client()
    given = {"idempotency-key": "abc"}

    one = post(client, {"user": "u0", "item": "i5"}, authorization=f"Bearer {keys['feedback']}", **given)
    other = post(client, {"user": "u0", "item": "i6"}, authorization=f"Bearer {keys['all']}", **given)

    assert (one.status_code, other.status_code) == (200, 200)
    assert "idempotent-replayed" not in other.headers


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\t"])
def test_an_idempotency_key_that_is_none_is_refused(client, key):
    answer = post(client, {"user": "u0", "item": "i5"}, **{"idempotency-key": key})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_header")
    assert stored(client) == []


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"user": "u0"},
        {"user": "", "item": "i0"},
        {"user": "..", "item": "i0"},
        {"user": "u\x00", "item": "i0"},
        {"user": "u0", "item": "i\n0"},
        {"user": "u0", "item": "i" * 257},
        {"user": "u0", "item": 7},
        {"user": "u0", "item": "i0", "rating": "good"},
        {"user": "u0", "item": "i0", "rating": True},
        {"user": "u0", "item": "i0", "time": "2026-01-01T00:00:00"},
        {"user": "u0", "item": "i0", "time": 1_700_000_000},
        {"user": "u0", "item": "i0", "timestamp": "2026-01-01T00:00:00Z"},
        [{"user": "u0", "item": "i0"}] * 1001,
    ],
)
def test_what_is_not_an_interaction_is_refused(client, body):
    answer = post(client, body)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")


def test_times_are_kept_in_utc(client):
    post(client, {"user": "u0", "item": "i0", "time": "2026-01-01T01:00:00.000001+01:00"})
    post(client, {"user": "u0", "item": "i1"})

    first, now = client.get("/users/u0/data").json()["interactions"]

    assert first["time"] == "2026-01-01T00:00:00.000001Z"
    assert now["time"] > "2026-11"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["user", "item", "time", "rating"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_no_body_breaks_the_service(client, body):
    import json

    raw = json.dumps(body).encode()
    answer = client.request("POST", "/interactions", content=raw, **{"content-type": "application/json"})

    assert answer.status_code in (200, 422), answer.text


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate, gzip", "br"])
def test_a_compressed_body_is_refused_as_that(client, encoding):
    import gzip

    raw = gzip.compress(b'{"interactions": [{"user": "u0", "item": "i1"}]}')
    headers = {"content-type": "application/json", "content-encoding": encoding}

    answer = client.request("POST", "/interactions", content=raw, **headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert (answer.json()["field"], answer.headers["accept-encoding"]) == ("content-encoding", "identity")


@pytest.mark.parametrize("path", ["/interactions", "/recommend/batch", "/recommend/session", "/audit/runs"])
@pytest.mark.parametrize("body", ["[]", "1", '"x"', '{"interactions": [1], "requests": [1], "history": 1}'])
def test_what_is_wrong_with_a_body_names_fields_and_no_class_of_ours(client, path, body):
    answer = client.request("POST", path, content=body.encode(), **{"content-type": "application/json"})

    assert answer.status_code in {200, 422}  # a batch answers each of its requests
    assert not re.search(r"Body|instance of|[a-z_]+\(\)|[A-Z][a-z]+[A-Z]", answer.text.replace("Input", ""))
