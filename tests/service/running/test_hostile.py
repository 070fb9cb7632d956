"""Requests that no honest client sends, by the thousand: no 500, no hang, and memory is back where it was."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from urllib.parse import quote

SCHEMA = json.loads((Path(__file__).parents[3] / "openapi" / "openapi.json").read_text(encoding="utf-8"))
ROUTES = [
    (method.upper(), path, operation)
    for path, operations in SCHEMA["paths"].items()
    for method, operation in operations.items()
]
GOOD = {
    "user": "u1",
    "item": "i1",
    "version": "1",
    "sensitive": "gender",
    "k": "3",
    "exclude_seen": "true",
    "exclude": "i1",
    "group": "even",
    "fallback": "popular",
    "cursor": "x",
    "force": "false",
    "id": "0123456789abcdef",
    "with": "fedcba9876543210",
    "prefix": "u",
    "limit": "2",
    "by": "gender",
    "balance": "uniform",
    "balance_weight": "0.5",
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-12-31T00:00:00Z",
    "attribute": "gender",
    "purpose": "recommend",
    "format": "csv",
    "request_id": "01a2055b7e527219f4aa209bf47e51d6",
}
NEAR: dict[str, object] = {
    "user": "u1",
    "item": "i1",
    "history": ["i1", "i2"],
    "requests": [],
    "attributes": ["gender"],
    "sensitive": ["age"],
    "k": 3,
    "exclude": ["i3"],
    "time": "2026-01-01T00:00:00Z",
    "rating": 4.5,
    "cursor": "",
    "balance": "uniform",
    "balance_weight": 0.5,
}
"""Fields that some body has, as it should have them."""
MARGIN_MB = 40
AT_ONCE = 8


class Malice:
    """Hostile requests, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def request(self) -> tuple[str, str, bytes, dict[str, str]]:
        """Method, target, body, headers."""
        chance = self._random
        method, path, operation = chance.choice(ROUTES)
        if chance.random() < 0.05:
            method = chance.choice(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X" * 50])
        if chance.random() < 0.05:
            path = "/" + quote(self._bytes(40), safe=chance.choice(["", "/%.;"]))
        for name in ("user", "item", "version", "id"):
            path = path.replace(f"{{{name}}}", self._segment(GOOD[name]))
        names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
        pairs = [pair for name in names for pair in self._parameter(name)]
        if chance.random() < 0.2:
            pairs.append((quote(self._bytes(8)), self._value()))
        chance.shuffle(pairs)
        target = path + ("?" + "&".join(f"{name}={value}" for name, value in pairs) if pairs else "")
        headers = self._headers()
        body = self._body() if method in ("POST", "PUT") or chance.random() < 0.02 else b""
        return method, target, body, headers

    def _parameter(self, name: str) -> list[tuple[str, str]]:
        """Missing, right, wrong, or repeated."""
        kind = self._random.randrange(6)
        good = (name, GOOD[name])
        return [[], [good], [good], [(name, self._value())], [good, good], [(name, ""), (name, self._value())]][kind]

    def _value(self) -> str:
        chance = self._random
        return chance.choice(
            [
                "",
                ",",
                ",,,",
                "-1",
                "0",
                "1001",
                "1e3",
                str(10 ** chance.randrange(1, 400)),
                "NaN",
                "%00",
                "%ff%fe",
                "%ED%A0%80",
                "true,false",
                "null",
                "{}",
                "é".encode().decode("latin-1"),
                quote(self._bytes(60)),
                "a" * chance.choice([64, 65, 256, 257, 9000, 40_000]),
                "a," * chance.choice([64, 1001, 16_000]) + "a",
                "' OR 1=1 --".replace(" ", "+"),
                "../../etc/passwd",
            ]
        )

    def _segment(self, good: str) -> str:
        chance = self._random
        wrong = [
            "%00",
            "%2F",
            "..%2f..",
            "%ff",
            "a" * 257,
            "a" * 20_000,
            quote(self._bytes(20), safe=""),
            "%",
            "%zz",
            ".",
        ]
        return good if chance.random() < 0.5 else chance.choice(wrong)

    def _headers(self) -> dict[str, str]:
        chance = self._random
        headers = {"content-type": "application/json"} if chance.random() < 0.9 else {}
        if chance.random() < 0.1:
            headers["content-type"] = chance.choice(
                ["text/plain", "application/json; charset=utf-7", "multipart/x", "\xff"]
            )
        if chance.random() < 0.1:
            headers["idempotency-key"] = chance.choice(["", "a" * 256, "b", "\xe9", "a b"])
        if chance.random() < 0.1:
            headers["authorization"] = chance.choice(["", "Bearer", "Bearer evh_x", "Basic eDp5", "\xff" * 99])
        if chance.random() < 0.05:
            headers[chance.choice(["x-request-id", "accept", "origin", "content-encoding", "expect-not"])] = "gzip\xe9"
        return headers

    def _body(self) -> bytes:
        chance = self._random
        kind = chance.random()
        if kind < 0.01:
            return chance.choice(
                [b'"' + b"a" * 10_000_000 + b'"', b"[" * 10_000_000, b" " * 10_000_000, b"1" * 10_000_000]
            )
        if kind < 0.05:
            depth = chance.choice([100, 1_000, 100_000])
            return chance.choice([b"[" * depth, b"[" * depth + b"]" * depth, b'{"user":' * depth + b"1" + b"}" * depth])
        if kind < 0.15:
            return self._bytes(chance.choice([0, 1, 10, 10_000]))
        if kind < 0.25:
            return chance.choice(
                [b"", b"null", b"true", b"1e999", b"NaN", b'"\\ud800"', b"[]", b"{}", b'{"a":1,"a":2}']
            )
        text = json.dumps(self._object(1)).encode()
        return text if kind < 0.95 else text[: len(text) // 2]

    def _object(self, depth: int) -> object:
        chance = self._random
        names = chance.sample(list(NEAR), chance.randrange(6))
        return {name: self._json(name, depth) for name in names}

    def _json(self, name: str, depth: int) -> object:
        chance = self._random
        far = [None, True, -1, 10**40, 1.5, -0.0, "", "\x00", "\ud800", "a" * 300, [], {}, [None], ["a"] * 2000]
        far += ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", 1e308, ["\x00"], [[[]]], {"a": {"b": []}}]
        if chance.random() > 0.6:
            return chance.choice(far)
        if name == "requests" and depth:
            return [self._object(depth - 1) for _ in range(chance.choice([1, 3, 257]))]
        return NEAR[name]

    def _bytes(self, length: int) -> bytes:
        return self._random.randbytes(length)


def test_ten_thousand_hostile_requests(tmp_path, a_bundle_folder, a_service, rounds):
    many = rounds(1_000, 10_000)
    url = f"sqlite:///{tmp_path}/store.db"
    service = a_service(a_bundle_folder(), database_url=url, log_level="warning")

    asyncio.run(_attack(service, Malice(1), many // 5))  # what is used once stays: code paths, connections, caches
    before_mb = service.rss_mb
    answers = asyncio.run(_attack(service, Malice(2), many))
    after_mb = service.rss_mb

    wrong = [one for one in answers if one.status >= 500]
    assert not wrong, [(one.asked[:200], one.body) for one in wrong[:5]]
    assert len(answers) == many
    answers += asyncio.run(_at_once(service, "POST", "/models/1/activate"))  # that two meet is chance otherwise
    assert {200, 404, 405, 409, 413, 414, 415, 422} <= {one.status for one in answers}
    for one in answers:
        if one.status > 400 and not one.asked.startswith("HEAD"):
            assert one.headers["content-type"] == "application/problem+json", one
            assert one.json["code"]
    assert "request failed" not in service.output
    assert after_mb.keys() == before_mb.keys()  # no process has ended
    for pid, before in before_mb.items():
        assert after_mb[pid] < before + MARGIN_MB, f"{before:.0f} MiB before, {after_mb[pid]:.0f} MiB after"


def test_bytes_that_are_no_requests(tmp_path, a_bundle_folder, a_service, rounds):
    service = a_service(a_bundle_folder(), database_url=f"sqlite:///{tmp_path}/store.db", log_level="warning")
    chance = random.Random(3)
    starts = [
        b"",
        b"GET ",
        b"GET /recommend?user=u0 HTTP/1.1\r\n",
        b"POST /interactions HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
    ]
    starts += [
        b"POST /interactions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ]

    async def story():
        for _ in range(rounds(200, 2_000)):
            reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(chance.choice(starts) + chance.randbytes(chance.choice([0, 10, 1_000, 100_000])))
            writer.write_eof()
            try:
                async with asyncio.timeout(10):
                    answer = await reader.read()
            except ConnectionResetError:
                answer = b""
            assert not answer.startswith(b"HTTP/1.1 5"), answer
            writer.close()
        return await service.ask("GET", "/recommend?user=u0")

    assert asyncio.run(story()).status == 200
    assert "request failed" not in service.output


async def _at_once(service, method, target):
    connections = [service.connect() for _ in range(AT_ONCE)]
    answers = await asyncio.gather(*(connection.ask(method, target) for connection in connections))
    for connection in connections:
        connection.close()
    return answers


async def _attack(service, malice, many):
    answers = []

    async def client():
        connection = service.connect()  # a new one each time: the service ends what is idle
        for method, target, body, headers in requests:  # shared by all clients
            answers.append(await connection.ask(method, target, raw=body, **headers))
            connection.close()

    requests = (malice.request() for _ in range(many))
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return answers
