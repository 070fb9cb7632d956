"""A real browser, looking at real services: processes of their own around small real bundles with audit data."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bundle import Bundle, write_bundle
from service.access import SCOPES
from service.commands import make_key
from tests.nursery import preloaded

ROOT = Path(__file__).parents[2]
USERS, ITEMS, SEEN = 450, 60, 8
READY_S = 120
LONG_TITLE = "The Strange and Surprising Adventures of Somebody Whose Name Was Longer Than What Fits Here (1968)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They all need Debian's chromium."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.debian)


@pytest.fixture(scope="session")
def a_shop(a_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The builder of folders with versions of one bundle, each given by its options; "i0" has a long title."""

    def write(*versions: dict[str, Any]) -> Path:
        folder = tmp_path_factory.mktemp("shop")
        for options in versions:
            seen = {f"u{user}": [f"i{(7 * user + 3 * step) % ITEMS}" for step in range(SEEN)] for user in range(USERS)}
            made = a_bundle(users=USERS, items=ITEMS, seen=seen, name="shop", **options)
            last = np.array([made.seen.of(row)[-1] for row in range(USERS)], np.int32)
            titles = (LONG_TITLE, *made.items.titles[1:])
            write_bundle(
                replace(made, audit=replace(made.audit, test=last), items=replace(made.items, titles=titles)), folder
            )
        return folder / "shop"

    return write


@dataclass
class Service:
    """`python -m service serve`, stopped and started as a test likes."""

    folder: Path
    home: Path
    settings: dict[str, str]
    keys: dict[str, str] = field(default_factory=dict)
    """Name → secret."""
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.home}/store.db"

    def start(self) -> None:
        """Serve, and wait until it is ready."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
        given = {"database_url": self.database_url, "log_level": "warning", "audit_priority": "normal", **self.settings}
        mine = {f"EVENHAND_{name.upper()}": value for name, value in given.items()}
        command = [sys.executable, "-m", "service", "serve", "--bundle", str(self.folder), "--port", str(self.port)]
        with preloaded(), (self.home / "service.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=plain | mine, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.home / "service.log").read_text()[-3000:]
            with suppress(httpx.TransportError):  # and no certificates: to read them takes longer than all the rest
                if httpx.get(f"{self.url}/health/ready", verify=False).status_code == 200:
                    return
            time.sleep(0.05)
        pytest.fail("it was never ready")

    def stop(self) -> None:
        """End it; a second signal cuts what still runs short."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._process = None

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request past the browser, which must be answered."""
        answer = httpx.request(method, f"{self.url}{path}", json=body, timeout=30, verify=False)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def serve(a_shop: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Service]]:
    """The builder of running services; with ``keys``, one for each scope and one with all of them."""
    made: list[Service] = []

    def start(*versions: dict[str, Any], keys: bool = False, **settings: str) -> Service:
        home = tmp_path_factory.mktemp("service")
        service = Service(a_shop(*(versions or ({"version": "1"},))), home, settings)
        if keys:
            service.keys = {scope: make_key(service.database_url, scope, [scope], None) for scope in SCOPES}
            service.keys["all"] = make_key(service.database_url, "all", SCOPES, None)
        made.append(service)
        service.start()
        return service

    yield start
    for service in made:
        service.stop()


@pytest.fixture(scope="session")
def shop(serve: Callable[..., Service]) -> Service:
    """A service without keys, for tests that leave it as it was."""
    return serve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; not for the whole session, because its driver keeps an event loop running in this thread."""
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("chromium (Debian package chromium) is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect.set_options(timeout=20_000)
    with playwright.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield one
        one.close()


@dataclass
class Watched:
    """What went on while a page was looked at."""

    complaints: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and exceptions."""
    asked: list[str] = field(default_factory=list)
    """Every address that was asked for."""

    def elsewhere(self, url: str) -> list[str]:
        """Addresses of anybody but the service."""
        return [one for one in self.asked if not one.startswith((f"{url}/", "data:", f"blob:{url}/"))]


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page of a service; the page's ``watched`` tells what went on. Nothing may come from anywhere else."""
    contexts: list[Any] = []
    opened: list[tuple[Any, Service]] = []

    def open_page(
        service: Service, path: str = "/", *, width: int = 1280, scheme: str = "light", prepare: Any = None
    ) -> Any:
        viewport = {"width": width, "height": 844}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.watched = Watched()
        page.on("console", lambda one: one.type in ("error", "warning") and page.watched.complaints.append(one.text))
        page.on("pageerror", lambda error: page.watched.complaints.append(str(error)))
        page.on("request", lambda request: page.watched.asked.append(request.url))
        opened.append((page, service))
        if prepare is not None:
            prepare(page)
        page.goto(service.url + path)
        return page

    yield open_page
    elsewhere = [one for page, service in opened for one in page.watched.elsewhere(service.url)]
    for context in contexts:
        context.close()
    assert elsewhere == []
