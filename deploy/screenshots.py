"""`make screenshots`: a picture of every web page and of a report, in light, dark and on a phone, in build/screenshots.

They show the demo bundle (trained first where there is none), served for the purpose, with two audits made of it. Needs
Chromium (Debian package chromium) and the extra `test`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "training" / "configs" / "demo.toml"
WITHIN_S = 1200
LOOKS = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (390, "light"), "phone-dark": (390, "dark")}


def main() -> int:
    """Find or train, serve, audit, look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "demo", help="what is served")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "screenshots", help="where the pictures go")
    parser.add_argument("--looks", nargs="+", choices=LOOKS, default=list(LOOKS), help="all of them without it")
    parser.add_argument("--audit", type=json.loads, default={"profile": "quick"}, help="as POST /audit/runs takes it")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("chromium is not installed (Debian package chromium)", file=sys.stderr)
        return 1
    if not any(options.bundle.glob("*/manifest.json")) and not (options.bundle / "manifest.json").exists():
        say(f"Training a small bundle into {options.bundle.parent}")
        train = [sys.executable, "-m", "training", "run", str(CONFIG), "--out", str(options.bundle.parent)]
        if subprocess.run(train, cwd=ROOT).returncode:
            return 1
    options.out.mkdir(parents=True, exist_ok=True)
    with served(options.bundle) as address:
        say("Auditing it twice, quickly: a few minutes")
        first, second = (audited(address, options.audit | {"seed": seed}) for seed in (0, 1))
        user = ask(f"{address}/audit/users?limit=50")["users"][-1]
        names = ",".join(one["name"] for one in ask(f"{address}/attributes")["attributes"][:2])
        paths = {
            "welcome": "/",
            "explore": f"/?user={user}&sensitive={names}&k=10",
            "audits": f"/ui/audits?run={first}",
            "comparison": f"/ui/audits?compare={first},{second}",
            "report": f"/audit/runs/{first}/report",
            "models": "/ui/models",
        }
        for picture in look(chromium, address, paths, options.looks, options.out):
            say(str(picture))
    return 0


def look(chromium: str, address: str, paths: dict[str, str], looks: Sequence[str], out: Path) -> Iterator[Path]:
    """A picture of each path in each look."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for look in looks:
            width, scheme = LOOKS[look]
            size = {"width": width, "height": 844 if width < 500 else 900}
            context = browser.new_context(
                viewport=size, color_scheme=scheme, reduced_motion="reduce", device_scale_factor=2 if width < 500 else 1
            )
            for name, path in paths.items():
                page = context.new_page()
                page.goto(address + path)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(300)  # the last drawing
                if trouble := page.locator(".notice[role=alert]").all_inner_texts():
                    raise SystemExit(f"{path} does not show what it should: {trouble}")
                picture = out / f"{name}-{look}.png"
                page.screenshot(path=picture, full_page=True)
                page.close()
                yield picture
            context.close()
        browser.close()


@contextmanager
def served(bundle: Path) -> Iterator[str]:
    """The address of a service of its own, with an empty database."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as home:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
        mine = {
            "EVENHAND_DATABASE_URL": f"sqlite:///{home}/store.db",
            "EVENHAND_LOG_LEVEL": "warning",
            "EVENHAND_AUDIT_PRIORITY": "normal",  # nobody else is served here
        }
        serve = [sys.executable, "-m", "service", "serve", "--bundle", str(bundle), "--port", str(port)]
        service = subprocess.Popen(serve, cwd=ROOT, env={**plain, **mine})
        try:
            for _ in range(600):
                if service.poll() is not None:
                    raise SystemExit(service.returncode)
                try:
                    ask(f"{address}/health/ready")
                except OSError:
                    time.sleep(0.1)
                else:
                    break
            yield address
        finally:
            service.terminate()
            service.wait(60)


def audited(address: str, wanted: dict[str, Any]) -> str:
    """Id of an audit that is done."""
    run = str(ask(f"{address}/audit/runs", wanted)["id"])
    for _ in range(WITHIN_S):
        found = ask(f"{address}/audit/runs/{run}")
        if found["status"] == "done":
            return run
        if found["status"] not in ("queued", "running"):
            raise SystemExit(f"the audit {found['status']}: {found['error']}")
        time.sleep(1)
    raise SystemExit(f"the audit was not done within {WITHIN_S} s")


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    """The answer to a GET, or to a POST of ``body``."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def say(text: str) -> None:
    """One step, as make prints its own."""
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
