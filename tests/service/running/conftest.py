"""Real services, as processes, under real load: what they were asked and what they answered."""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.store import Database, LogFilter, Pseudonyms, log_page
from tests.nursery import children_of, preloaded

ROOT = Path(__file__).parents[3]
CONNECTIONS = 16
SEARCHES = ("/recommend?user=u{user}", "/recommend?user=u{user}&sensitive=gender,age&k=5", "/popular?k=3")
READY_S = 120
ANSWER_S = 60
"""No request may take longer."""


@dataclass(frozen=True)
class Answer:
    """One answer as it came, whole."""

    asked: str
    began: float
    """Monotonic time at which the request was sent."""
    ended: float
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lists(self) -> list[str]:
        """Request ids of the lists in it."""
        if self.status != 200 or not self.asked.startswith(("GET /recommend", "GET /popular", "POST /recommend")):
            return []
        return [page["request_id"] for page in self.json.get("results", [self.json]) if "items" in page]

    @property
    def problems(self) -> list[Any]:
        """Refusals in it: the answer itself, or rows of a batch."""
        if self.status != 200:
            return [self.json]
        return [page for page in self.json.get("results", ()) if "items" not in page]


class Connection:
    """One HTTP/1.1 connection, a few times faster than a client library: it leaves the service the machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None, raw: bytes | None = None, **headers: str) -> Answer:
        """One request, answered in time.

        Raises:
            OSError: there is no connection.
            asyncio.IncompleteReadError: the connection ended before the answer did.
            TimeoutError: the service hangs.
        """
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        given = {"host": "test", "content-length": str(len(content)), **headers}
        if body is not None:
            given["content-type"] = "application/json"
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
        message = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + content
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_S):
                status, answered, text = await self._send(message, has_body=method != "HEAD")
        except BaseException:
            self.close()
            raise
        return Answer(f"{method} {path}", began, time.monotonic(), status, answered, text)

    async def _send(self, message: bytes, *, has_body: bool) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        reader, writer = self._streams
        writer.write(message)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        text = await _body(reader, headers) if has_body else b""
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), headers, text

    def close(self) -> None:
        """Let go."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    text = b""
    while length := int(await reader.readline(), 16):
        text += await reader.readexactly(length)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return text


@dataclass
class Load:
    """What clients saw that asked without a pause."""

    answers: list[Answer] = field(default_factory=list)
    broken: list[Exception] = field(default_factory=list)
    """Requests without an answer, or with half of one."""

    @property
    def failed(self) -> list[object]:
        """What a user would have noticed."""
        return [*self.broken, *(problem for one in self.answers for problem in one.problems)]

    async def goes_on(self, at_least_s: float = 0.1) -> None:
        """Wait until some more was answered, however busy the machine is."""
        enough = len(self.answers) + 2 * CONNECTIONS
        await asyncio.sleep(at_least_s)
        async with asyncio.timeout(60):
            while len(self.answers) < enough:
                await asyncio.sleep(0.005)

    @property
    def lists(self) -> list[str]:
        """Request ids of all that was answered."""
        return [one for answer in self.answers for one in answer.lists]


class Service:
    """`python -m service serve`, on one port through all its lives."""

    def __init__(self, folder: Path, settings: dict[str, str], output: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-m", "service", "serve", "--bundle", str(folder), "--port", str(self.port)]
        given = {"workers": os.environ.get("WORKERS", "1"), **settings}
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
        self._environment = plain | {f"EVENHAND_{name.upper()}": value for name, value in given.items()}
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start it and do not wait."""
        how = {"cwd": ROOT, "env": self._environment, "stdin": subprocess.DEVNULL}
        with preloaded(), self._output.open("ab") as output:
            self._process = subprocess.Popen(self._command, stdout=output, stderr=output, **how)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.begin()
        self.wait_until_ready()

    def has_ended(self, within_s: float = 0) -> bool:
        """Whether its process is gone."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        return self._process.poll() is not None

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert not self.has_ended(), self.output[-3000:]
            with suppress(httpx.TransportError):  # and no certificates: to read them takes longer than all the rest
                if httpx.get(f"{self.url}/health/ready", verify=False).status_code == 200:
                    return
            time.sleep(0.05)
        pytest.fail(f"never ready: {self.output[-3000:]}")

    def connect(self) -> Connection:
        """A connection that is opened with its first request."""
        return Connection(self.port)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            return await connection.ask(method, path, body, **headers)
        finally:
            connection.close()

    def kill(self) -> None:
        """SIGKILL; the kernel closes what it held."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            children = [os.pidfd_open(child) for child in self.children]
            self._process.send_signal(how)
            assert self.has_ended(30), "it does not end"
            for seen in children:
                assert select.select([seen], [], [], 30)[0], "it does not end"
                os.close(seen)
            self._process = None

    @property
    def children(self) -> list[int]:
        """Ids of its processes, where it has several."""
        assert self._process is not None
        return children_of(self._process.pid)

    @property
    def output(self) -> str:
        """All that it has printed, in all its lives."""
        return self._output.read_text(errors="replace")

    @property
    def rss_mb(self) -> dict[int, float]:
        """Resident memory of each process that answers, by its id."""
        assert self._process is not None
        alone = self._environment["EVENHAND_WORKERS"] == "1"  # its children are audits then, and end at any time
        return {pid: _rss_mb(pid) for pid in ([self._process.pid] if alone else self.children)}

    @asynccontextmanager
    async def loaded(
        self, connections: int = CONNECTIONS, searches: tuple[str, ...] = SEARCHES, **headers: str
    ) -> AsyncIterator[Load]:
        """Clients that ask without a pause, while the body runs."""
        load, ending = Load(), asyncio.Event()
        clients = [asyncio.create_task(self._client(load, ending, searches, headers)) for _ in range(connections)]
        try:
            yield load
        finally:
            ending.set()
            await asyncio.gather(*clients)

    async def _client(self, load: Load, ending: asyncio.Event, searches: tuple[str, ...], headers: Any) -> None:
        connection = self.connect()
        while not ending.is_set():
            try:
                load.answers.append(await _ask_something(connection, searches, headers))
            except (OSError, asyncio.IncompleteReadError) as error:  # TimeoutError is an OSError
                load.broken.append(error)
                await asyncio.sleep(0.01)
        connection.close()


def _rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def _ask_something(connection: Connection, searches: tuple[str, ...], headers: Any) -> Answer:
    if random.random() < 0.1:
        rows = [{"user": f"u{random.randrange(6)}"} for _ in range(3)]
        return await connection.ask("POST", "/recommend/batch", {"requests": rows}, **headers)
    path = random.choice(searches).format(user=random.randrange(6))
    return await connection.ask("GET", path, **headers)


@pytest.fixture
def a_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """The builder of services, started unless ``start=False``; what still runs in the end is killed."""
    made: list[Service] = []

    def make(folder: Path, *, start: bool = True, **settings: str) -> Service:
        made.append(Service(folder, settings, tmp_path / f"service-{len(made)}.log"))
        if start:
            made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def logged() -> Callable[[str], list[str]]:
    """Reads the request ids in the log of a database, which a service may have open."""

    def read(url: str) -> list[str]:
        database = Database(url)
        ids: list[str] = []
        after = 0
        with database.reading() as connection:
            while page := log_page(
                connection, LogFilter(), Pseudonyms(None), limit=5000, after=after, newest_first=False
            ):
                ids += [row.request_id for row in page]
                after = page[-1].position
        database.close()
        return ids

    return read


@pytest.fixture
def rounds() -> Callable[[int, int], int]:
    """How often: few times, or many with ``ROBUSTNESS=large`` in the environment."""
    return lambda few, many: many if os.environ.get("ROBUSTNESS") == "large" else few
