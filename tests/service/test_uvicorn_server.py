"""How a real process ends: not ready first, then a pause, then the last answers; at once on a second signal."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("preloaded")


@dataclass
class Service:
    """A running `python -m service serve`."""

    process: subprocess.Popen[str]
    url: str
    database: Path
    answered: list[str] = field(default_factory=list)
    """Request ids of all lists that came back."""

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def ready(self) -> int:
        """Status of the readiness probe."""
        return self.client.get("/health/ready").status_code

    def load(self) -> threading.Thread:
        """Ask for lists until the connection is refused."""

        client = httpx.Client(base_url=self.url, timeout=60)

        def ask() -> None:
            try:
                while True:
                    answer = client.get("/recommend?user=u1")
                    if answer.status_code == 200:
                        self.answered.append(answer.json()["request_id"])
            except httpx.TransportError:
                client.close()

        thread = threading.Thread(target=ask)
        thread.start()
        return thread

    def logged(self) -> list[str]:
        """Request ids of the request log, read when the process is gone."""
        with sqlite3.connect(self.database) as database:
            return [row[0].hex() for row in database.execute("SELECT request_id FROM request_log")]


@pytest.fixture
def serve(a_bundle_folder: Callable[..., Path], tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Start the service with settings and wait until it is ready; killed in the end."""
    started: list[subprocess.Popen[str]] = []
    clients: list[httpx.Client] = []

    def start(**settings: str) -> Service:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        database = tmp_path / "state" / "evenhand.db"
        given = {"bundle": str(a_bundle_folder()), "port": str(port), "database_url": f"sqlite:///{database}"}
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
        environment = plain | {f"EVENHAND_{name.upper()}": value for name, value in (given | settings).items()}
        command = [sys.executable, "-m", "service", "serve"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        started.append(process)
        service = Service(process, f"http://127.0.0.1:{port}", database)
        clients.append(service.client)
        for _ in range(1500):
            assert process.poll() is None, process.communicate()
            try:
                if service.ready() == 200:
                    return service
            except httpx.TransportError:
                time.sleep(0.1)
        pytest.fail("never ready")

    yield start
    for client in clients:
        client.close()
    for process in started:
        process.kill()
        process.communicate()


def test_it_is_not_ready_first_answers_through_the_pause_and_loses_nothing(serve):
    service = serve(drain_s="5")
    load = [service.load() for _ in range(4)]

    service.process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    while service.ready() == 200:
        assert time.monotonic() - told < 4
    asked = ("/health/ready", "/health/live", "/recommend?user=u2&k=2")
    refused, alive, list_during = (service.client.get(path) for path in asked)
    problem = refused.json()
    _, err = service.process.communicate(timeout=120)
    took = time.monotonic() - told
    for one in load:
        one.join()

    assert (problem["code"], problem["detail"]) == ("not_ready", "the service is shutting down")
    assert problem["components"]["store"] == "ok"
    assert (alive.status_code, list_during.status_code) == (200, 200)
    assert took >= 5
    assert service.process.returncode == 0
    assert "Traceback" not in err
    assert len(service.answered) > 4
    assert {*service.answered, list_during.json()["request_id"]} <= {*service.logged()}


def test_a_second_signal_ends_it_at_once_and_what_was_answered_is_in_the_log(serve):
    service = serve(drain_s="300")
    load = [service.load() for _ in range(4)]
    service.process.send_signal(signal.SIGTERM)
    while service.ready() == 200:
        pass

    service.process.send_signal(signal.SIGTERM)
    service.process.communicate(timeout=120)  # and not after the pause
    for one in load:
        one.join()

    assert service.process.returncode == 128 + signal.SIGTERM
    assert {*service.answered} <= {*service.logged()}


def test_control_c_ends_it_in_good_order(serve):
    service = serve()

    service.process.send_signal(signal.SIGINT)
    _, err = service.process.communicate(timeout=120)

    assert service.process.returncode == 0
    assert "Traceback" not in err
