"""Answers as they leave for the socket: whole ones in one write, all others as uvicorn writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.http_protocol import HttpProtocol

GET = b"GET /a%2Fb/%C3%A4?x=1&y= HTTP/1.1\r\nHost: h\r\nX-Two: 2\r\n\r\n"
HEADERS = [(b"content-length", b"5"), (b"content-type", b"text/plain"), (b"x-request-id", b"1")]
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-type: text/plain\r\nx-request-id: 1\r\n\r\nhello"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def answering(*messages: dict[str, Any], seen: list[Any] | None = None) -> Callable[..., Awaitable[None]]:
    """An app that sends these messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if seen is not None:
            seen.append(scope)
        for message in messages:
            await send(message)

    return app


def start(status: int = 200, headers: list[tuple[bytes, bytes]] = HEADERS) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(text: bytes = b"hello", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": text, "more_body": more}


def served(app: Any, *requests: bytes, protocol: type[HttpToolsProtocol] = HttpProtocol) -> Wire:
    """What is written where these bytes arrive on one connection."""
    wire = Wire()

    async def serve() -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False, lifespan="off")
        config.load()
        connection = protocol(config=config, server_state=ServerState(), app_state={})
        connection.connection_made(wire)
        for each in requests:
            connection.data_received(each)
            for _ in range(20):
                await asyncio.sleep(0)
        connection.connection_lost(ConnectionResetError())

    asyncio.run(serve())
    return wire


def test_a_whole_answer_leaves_in_one_write_and_its_connection_stays():
    wire = served(answering(start(), body()), GET, GET)

    assert wire.written == [WHOLE, WHOLE]
    assert not wire.closed


def test_an_app_gets_the_request_that_uvicorn_gives_it():
    ours, theirs = [], []

    served(answering(start(), body(), seen=ours), GET)
    served(answering(start(), body(), seen=theirs), GET, protocol=HttpToolsProtocol)

    assert ours == theirs
    assert ours[0]["path"] == "/a/b/ä"


@pytest.mark.parametrize(
    ("messages", "request_"),
    [
        ([start(), body()], GET.replace(b"GET", b"HEAD")),
        ([start(), body()], GET.replace(b"1.1", b"1.0")),
        ([start(), body()], GET.replace(b"Host: h", b"Connection: close")),
        ([start(), body(b"he", more=True), body(b"llo")], GET),
        ([start(headers=HEADERS[1:]), body(b"he", more=True), body(b"llo")], GET),
        ([start(headers=HEADERS[1:]), body()], GET),
        ([start(headers=[*HEADERS, (b"connection", b"close")]), body()], GET),
        ([start(204, []), body(b"")], GET),
        ([start(304, HEADERS[1:]), body(b"")], GET),
        ([start(404), body()], GET),
        ([start(), body(b"longer")], GET),
        ([start(), body(b"less")], GET),
        ([body()], GET),
        ([], GET),
        ([start(), body(), body()], GET),
    ],
)
def test_the_bytes_are_those_of_uvicorn(messages, request_):
    ours = served(answering(*messages), request_)
    theirs = served(answering(*messages), request_, protocol=HttpToolsProtocol)

    assert (b"".join(ours.written), ours.closed) == (b"".join(theirs.written), theirs.closed)


def test_requests_that_come_together_are_answered_in_turn():
    wire = served(answering(start(), body()), GET * 3)

    assert b"".join(wire.written) == 3 * WHOLE


@pytest.mark.parametrize("messages", [[start()], [start(headers=[*HEADERS, (b"x", b"a\r\nb: c")]), body()]])
def test_what_is_wrong_before_the_body_is_a_500_and_not_half_an_answer(messages):
    wire = served(answering(*messages), GET)

    assert wire.written[0].startswith(b"HTTP/1.1 500 ")
    assert wire.closed


def test_a_refusal_may_take_the_place_of_an_answer_that_was_only_begun():
    wire = served(answering(start(), start(503), body()), GET)

    assert wire.written[0].startswith(b"HTTP/1.1 503 ")
