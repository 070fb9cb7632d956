"""`python -m service`, as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("preloaded")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `python -m service` with arguments and EVENHAND_* settings; whatever still runs is killed in the end."""
    database = {"EVENHAND_DATABASE_URL": f"sqlite:///{tmp_path}/evenhand.db"}
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **settings: str) -> subprocess.Popen[str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
        environment = plain | database | {f"EVENHAND_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "service", *arguments]
        started.append(
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def a_free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        try:
            if httpx.get(f"{url}/health/ready", verify=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    pytest.fail("never ready")


@pytest.mark.real_processes
def test_it_answers_and_leaves_cleanly_when_told_to(a_bundle_folder, start):
    port = a_free_port()
    process = start("serve", "--bundle", str(a_bundle_folder()), "--port", str(port), required="age")
    wait_until_ready(process, f"http://127.0.0.1:{port}")

    answer = httpx.get(f"http://127.0.0.1:{port}/recommend?user=u1&sensitive=gender&k=3")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)

    assert answer.status_code == 200
    assert [entry["source"] for entry in answer.json()["sensitive"]["applied"]] == ["request", "required"]
    assert (process.returncode, out) == (0, "")
    assert [json.loads(line)["event"] for line in err.splitlines()][-1] == "stopped"


def test_without_keys_it_listens_on_loopback_only_unless_told_otherwise(a_bundle_folder, start):
    folder = str(a_bundle_folder())
    refused = start("serve", "--bundle", folder, "--host", "0.0.0.0")

    _, err = refused.communicate(timeout=60)

    assert refused.returncode == 2
    assert "EVENHAND_ALLOW_NO_KEYS" in err
    assert len(err.splitlines()) == 1

    port = a_free_port()
    allowed = start("serve", "--bundle", folder, host="0.0.0.0", port=str(port), allow_no_keys="true")
    wait_until_ready(allowed, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("settings", "damage", "words"),
    [
        ({"required": "hair"}, False, "EVENHAND_REQUIRED names hair; this bundle knows gender, age"),
        ({"colour": "red"}, False, "unknown setting EVENHAND_COLOUR"),
        ({}, True, "items.parquet"),
    ],
)
def test_a_start_that_is_refused_says_why_in_one_line(a_bundle_folder, start, settings, damage, words):
    folder = a_bundle_folder()
    if damage:
        (folder / "items.parquet").write_bytes(b"PAR1")

    process = start("serve", "--bundle", str(folder), **settings)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 2
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_port_that_is_taken_is_said(a_bundle_folder, start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("serve", "--bundle", str(a_bundle_folder()), "--port", str(taken.getsockname()[1]))
        _, err = process.communicate(timeout=60)

    assert process.returncode == 3
    (line,) = err.splitlines()  # nothing was loaded, nothing said to be ready
    assert line.endswith("Address already in use")


def test_the_published_schema_is_the_apps(start):
    process = start("openapi")
    out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
    assert out == (ROOT / "openapi" / "openapi.json").read_text(encoding="utf-8"), "run `make openapi`"
