"""What every response carries, and what no request may do: headers, browsers of other origins, bodies without end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
PAGE = "https://shop.example"


def test_every_response_has_the_headers_that_keep_browsers_from_guessing(client):
    for path in (
        "/recommend?user=u0",
        "/recommend?user=nobody",
        "/nowhere",
        "/metrics",
        "/health/live",
        "/openapi.json",
    ):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in headers


def test_pages_of_other_origins_get_nothing_unless_the_operator_names_them(client, a_client):
    asked = {"origin": PAGE, "access-control-request-method": "GET", "access-control-request-headers": "authorization"}

    assert "access-control-allow-origin" not in client.get("/recommend?user=u0", origin=PAGE).headers
    assert client.request("OPTIONS", "/recommend", **asked).status_code == 405

    named = a_client(settings={"cors_origins": f"{PAGE},http://127.0.0.1:3000"}, version="2")

    assert named.get("/recommend?user=u0", origin=PAGE).headers["access-control-allow-origin"] == PAGE
    assert named.request("OPTIONS", "/recommend", **asked).status_code == 200
    other = named.get("/recommend?user=u0", origin="https://evil.example")
    assert "access-control-allow-origin" not in other.headers
    assert named.request("OPTIONS", "/recommend", **asked | {"origin": "https://evil.example"}).status_code == 400
    assert "access-control-allow-credentials" not in named.get("/recommend?user=u0", origin=PAGE).headers


def test_a_preflight_needs_no_key_and_what_follows_does(a_keyed_client):
    client, keys = a_keyed_client(settings={"cors_origins": PAGE})
    asked = {"origin": PAGE, "access-control-request-method": "PUT", "access-control-request-headers": "authorization"}

    assert client.request("OPTIONS", "/users/u0/requirement", **asked).status_code == 200
    refused = client.get("/attributes", origin=PAGE)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, PAGE)
    assert client.get("/attributes", origin=PAGE, authorization=f"Bearer {keys['recommend']}").status_code == 200


def test_a_body_over_the_limit_is_413_and_one_at_the_limit_is_read(a_client):
    client = a_client(settings={"max_body_kb": 1})
    start = b'{"user": "u0", "item": "i0"'
    at = start + b" " * (1024 - len(start) - 1) + b"}"

    def post(raw, **headers):
        return client.request("POST", "/interactions", content=raw, **{"content-type": "application/json"}, **headers)

    assert post(at).status_code == 200
    over = post(at + b" ")
    assert (over.status_code, over.json()["code"], over.json()["allowed"]) == (413, "body_too_large", 1024)


def test_a_body_that_does_not_say_how_long_it_is_is_not_read_beyond_the_limit(an_app, run_app):
    read = []

    async def endless():
        for _ in range(10_000):
            read.append(1)
            yield b" " * 1024

    async def story():
        async with run_app(an_app(settings={"max_body_kb": 2})) as http:
            return await http.post("/interactions", content=endless(), headers={"content-type": "application/json"})

    answer = asyncio.run(story())

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert len(read) < 10


@pytest.mark.parametrize("length", ["9" * 30, "1048577"])
def test_a_length_that_is_too_large_is_refused_before_the_body(client, length):
    answer = client.request(
        "POST", "/interactions", content=b"{}", **{"content-type": "application/json", "content-length": length}
    )

    assert answer.status_code == 413


def test_the_operator_limits_k_and_pins_what_is_protected(a_client):
    client = a_client(settings={"max_k": 5, "pinned": True, "default": "gender", "required": "age"})

    assert client.problem("/recommend?user=u0&k=6")["code"] == "invalid_query"
    assert client.problem("/popular?k=6")["code"] == "invalid_query"
    for query in ("", "&sensitive=gender,age", "&sensitive=age&sensitive=gender"):
        page = client.get(f"/recommend?user=u0&k=5{query}").json()
        assert [one["attribute"] for one in page["sensitive"]["applied"]] == ["gender", "age"]
    for query in ("&sensitive=", "&sensitive=age", "&sensitive=gender"):
        problem = client.problem(f"/recommend?user=u0&k=5{query}")
        assert (problem["code"], problem["allowed"]) == ("requirement_pinned", ["gender", "age"])


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def test_metrics_on_a_port_of_their_own_are_nowhere_else(a_bundle_folder, tmp_path):
    port, metrics = a_free_port(), a_free_port()
    command = [sys.executable, "-m", "service", "serve", "--bundle", str(a_bundle_folder()), "--port", str(port)]
    environment = {"EVENHAND_DATABASE_URL": f"sqlite:///{tmp_path}/s.db", "EVENHAND_METRICS_PORT": str(metrics)}
    process = subprocess.Popen(command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", **environment})
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health/ready", verify=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").json()["code"] == "not_found"
        assert "evenhand_bundle_info" in httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
    finally:
        process.terminate()
        process.wait(30)
    assert process.returncode == 0
