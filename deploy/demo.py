"""`make demo`: train a small bundle, serve it on 127.0.0.1:8000, and show requests to paste, with their answers.

Ctrl-C stops the service. A bundle that an earlier run trained from the same data is served as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "training" / "configs" / "demo.toml"
READY_WITHIN_S = 60
STOPS_WITHIN_S = 30


def main() -> int:
    """Train, serve, show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a MovieLens or three-table folder (generated data without it)")
    parser.add_argument("--out", type=Path, default=ROOT / "bundles", help="where the bundle goes")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--once", action="store_true", help="stop after the requests have been shown")
    options = parser.parse_args()
    started = float(os.environ.get("DEMO_STARTED") or time.time())

    say(f"Training a small bundle from {options.data or 'generated data'} into {options.out}")
    train = [sys.executable, "-m", "training", "run", str(CONFIG), "--out", str(options.out)]
    if subprocess.run([*train, *(["--data", str(options.data)] if options.data else [])], cwd=ROOT).returncode:
        return 1

    address = f"http://127.0.0.1:{options.port}"
    say(f"Serving it on {address}")
    bundle = options.out / "demo"
    serve = [sys.executable, "-m", "service", "serve", "--bundle", str(bundle), "--port", str(options.port)]
    settings = {"EVENHAND_LOG_LEVEL": "warning"}
    settings["EVENHAND_DATABASE_URL"] = f"sqlite:///{options.out.absolute().parent / 'state' / 'demo.db'}"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as Ctrl-C: the service must not outlive the demo
    service = subprocess.Popen(serve, cwd=ROOT, env={**settings, **os.environ})
    try:
        wait_until_ready(address, service)
        show(address, a_user(bundle), started)
        if not options.once:
            say(f"Open {address}/ in a browser; the service goes on answering until Ctrl-C stops it")
            service.wait()
    except KeyboardInterrupt:
        with suppress(subprocess.TimeoutExpired):
            service.wait(timeout=STOPS_WITHIN_S)  # Ctrl-C has reached it too
    finally:
        if service.poll() is None:
            service.terminate()
        service.wait(timeout=STOPS_WITHIN_S)
    return 0


def wait_until_ready(address: str, service: subprocess.Popen[bytes]) -> None:
    """Until /health/ready says 200; the service's own message has been printed where it gave up."""
    for _ in range(READY_WITHIN_S * 10):
        if service.poll() is not None:
            raise SystemExit(service.returncode)
        try:
            with urllib.request.urlopen(f"{address}/health/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"the service was not ready within {READY_WITHIN_S} s")


def a_user(bundle: Path) -> str:
    """The middle user of the newest version."""
    import pyarrow.parquet as pq

    newest = max(bundle.glob("*/users.parquet"), key=lambda path: path.parent.name)
    ids = pq.read_table(newest)["id"].to_pylist()
    return str(ids[len(ids) // 2])


def show(address: str, user: str, started: float) -> None:
    """Ask as a client would, and print what to paste and what came back."""
    names = [attribute["name"] for attribute in json.loads(ask(f"{address}/attributes"))["attributes"]]
    user = urllib.parse.quote(user)
    paths = [f"/recommend?user={user}&k=3&sensitive={chosen}" for chosen in ("", names[0], ",".join(names[:2]))]
    for number, path in enumerate([*paths, f"/recommend?user={user}&sensitive=nonsense", "/attributes"]):
        answer = ask(address + path)
        if number == 0:
            say(f"First answer after {time.time() - started:.0f} s")
        print(f'\ncurl "{address}{path}"\n{json.dumps(json.loads(answer), indent=2)}', flush=True)


def ask(url: str) -> str:
    """The body of an answer, of a refusal too."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


def say(text: str) -> None:
    """One step of the demo, as make prints its own."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
