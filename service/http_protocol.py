"""uvicorn's protocol, with a short way for what nearly all requests are: one request at a time, answered whole.

uvicorn looks at each header of each answer again, and hands head and body to the transport one after the other, which
sends each at once. Two system calls cost more than most of what a request does in Python. Here the lines of headers
that many answers have are kept as bytes, and a whole answer leaves in one write. All else goes uvicorn's own way:
requests before the last answer is out, upgrades, streams, HEAD, answers without a length or that end the connection.
"""

from __future__ import annotations

from asyncio import Event
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

Header = tuple[bytes, bytes]

BODILESS = frozenset({204, 304})
OWN_WAY = frozenset({b"transfer-encoding", b"connection"})
"""Headers that uvicorn acts upon."""
VARYING = frozenset({b"x-request-id", b"date", b"etag", b"retry-after", b"content-disposition"})
"""Headers of which no two answers have the same line, or few."""
KEPT = 1024
"""Lines that are kept at most."""
_kept: dict[Header, bytes] = {}


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        parser, scope = self.parser, self.scope
        under_way = self.cycle is not None and not self.cycle.response_complete
        if under_way or self.limit_concurrency is not None or parser.should_upgrade():
            super().on_headers_complete()
            return
        version = parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        scope["http_version"] = version
        scope["method"] = parser.get_method().decode("ascii")
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + url.path
        scope["query_string"] = url.query or b""
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.app)


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    _head: dict[str, Any] | None = None
    """The beginning of the answer, kept until its body comes; before that another one may take its place."""

    async def send(self, message: Any) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            body = message.get("body", b"")
            lines = self._lines(head["headers"], len(body)) if self._is_whole(head, message) else None
            if lines is not None:
                self._write(b"".join((STATUS_LINE[head["status"]], *lines, b"\r\n", body)))
                return
            await super().send(head)  # type: ignore[arg-type]
        await super().send(message)

    def _is_whole(self, head: dict[str, Any], message: dict[str, Any]) -> bool:
        return not (
            message.get("more_body")
            or self.flow.write_paused
            or self.disconnected
            or self.scope["method"] == "HEAD"
            or head["status"] in BODILESS
        )

    def _lines(self, headers: list[Header], length: int) -> list[bytes] | None:
        """The head without its first line; None where the headers do not say that ``length`` bytes follow."""
        lines, told = [], None
        for header in (*self.default_headers, *headers):
            line = _kept.get(header)
            if line is None:
                name, value = header
                if name in OWN_WAY:
                    return None
                if name == b"content-length":
                    told, line = int(value), b"content-length: %b\r\n" % value
                else:
                    line = _line(name, value)
            lines.append(line)
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        return lines if told == length else None

    def _write(self, answer: bytes) -> None:
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(answer)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _line(name: bytes, value: bytes) -> bytes:
    """A header as it is sent.

    Raises:
        RuntimeError: a line break or the like in it.
    """
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError("invalid HTTP header")
    line = b"%b: %b\r\n" % (name.lower(), value)
    if name not in VARYING and len(_kept) < KEPT:
        _kept[name, value] = line
    return line
