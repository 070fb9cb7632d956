"""One running demo for all tests of this folder: it trains for a minute."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A running demo on a free port: its address, what it printed, and its bundles."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("demo") / "log"
    out = log.parent / "bundles"
    command = [sys.executable, "deploy/demo.py", "--out", str(out), "--port", str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        for _ in range(3000):
            if "goes on answering" in log.read_text() or process.poll() is not None:
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", log.read_text(), out / "demo"
    finally:
        process.terminate()
        process.wait(timeout=60)
