"""Serve a bundle, and ask for one user's list twice: nothing protected, then every attribute.

make demo                                                  # trains bundles/demo; end it with Ctrl-C
.venv/bin/python examples/serve_and_ask.py bundles/demo
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from evenhand_client import Attributes, Client, UnreachableError


def main(bundle: Path) -> None:
    """Start the service, ask, end it."""
    users = max(bundle.glob("*/users.parquet"), key=lambda path: path.parent.name)
    user = pq.read_table(users)["id"][0].as_py()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with TemporaryDirectory() as state, Client(f"http://127.0.0.1:{port}") as evenhand:
        settings = {"EVENHAND_DATABASE_URL": f"sqlite:///{state}/state.db", "EVENHAND_LOG_LEVEL": "warning"}
        command = [sys.executable, "-m", "service", "serve", "--bundle", str(bundle), "--port", port]
        service = subprocess.Popen(command, env={**os.environ, **settings})
        try:
            names = [attribute.name for attribute in when_ready(evenhand, service).attributes]
            for sensitive in ([], names):
                page = evenhand.recommend(user, sensitive=sensitive, k=5)
                print(f"{user}, protected: {', '.join(sorted(page.protected)) or 'nothing'}")
                for item in page.items:
                    print(f"  {item.rank}. {item.title or item.item}")
        finally:
            service.terminate()
            service.wait()


def when_ready(evenhand: Client, service: subprocess.Popen[bytes]) -> Attributes:
    """What can be protected, as soon as the service answers; the service's own message says why it does not."""
    while service.poll() is None:
        try:
            return evenhand.attributes()
        except UnreachableError:
            time.sleep(0.2)
    raise SystemExit(service.returncode)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
