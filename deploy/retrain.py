"""`make retrain`: train again on what the service was told, and activate the new version where it is no worse.

pull → run → compare → activate, each step as its own command does it. The version that serves is the old one: what was
posted is merged with its data, and the new version is compared with it. Refused or failed, the old one serves on.

Ends with 0 where the new version serves, 1 where `compare` refused it, 2 where another step did. The service's database
is that of EVENHAND_DATABASE_URL, where --database does not say otherwise; where the service has API keys, SERVICE_KEY
holds one with the scopes `recommend` and `admin`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from training.__main__ import main as training

ANSWERS_WITHIN_S = 600
"""An activation loads, checks and warms the new version before it answers."""


def main(arguments: list[str] | None = None) -> int:
    """Pull, run, compare, activate."""
    options = _parser().parse_args(arguments)
    old = active(options.service)
    folder = options.bundle / old
    say(f"{old} serves; pulling what was posted")
    with tempfile.TemporaryDirectory(prefix="evenhand-retrain-") as tables:
        pull = ["data", "pull", "--since", str(folder), "--out", tables, *given(options, "database", "data")]
        if status := training(pull):
            return status
        say("Training")
        before = set(options.work.glob("*/*/manifest.json"))
        settings = [word for setting in options.set for word in ("--set", setting)]
        run = ["run", f"{tables}/run.toml", "--data", tables, "--out", str(options.work), *given(options, "device")]
        if status := training([*run, *settings]):
            return status
    (new,) = (path.parent for path in set(options.work.glob("*/*/manifest.json")) - before)
    say(f"Comparing {new.name} with {old}")
    demands = given(options, "leakage_at_most", "kept_at_least")
    if status := training(["compare", str(new), str(folder), *demands]):
        say(f"{new.name} is not activated, {old} serves on; look at {new}")
        return status
    if (now := active(options.service)) != old:
        raise RefusedError(f"{now} was activated meanwhile, and {new.name} is compared with {old}: it is not activated")
    publish(new, options.bundle)
    ask(options.service, f"/models/{urllib.parse.quote(new.name)}/activate", method="POST")
    say(f"{new.name} serves")
    return 0


class RefusedError(Exception):
    """The service does not do what it is asked; it serves on as it did."""


def publish(new: Path, bundle: Path) -> None:
    """Put a version where the service looks for versions: whole or not at all, and only once it may serve.

    A service that starts without having activated any takes the newest one there.
    """
    draft = bundle / f".{new.name}.unfinished"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(new, draft)
    draft.rename(bundle / new.name)
    shutil.rmtree(new)


def active(service: str) -> str:
    """The version that serves."""
    return str(ask(service, "/models")["active"]["version"])


def ask(service: str, path: str, method: str = "GET") -> Any:
    """An answer of the service.

    Raises:
        RefusedError: it gives none, or another than 200.
    """
    key = os.environ.get("SERVICE_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(service + path, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RefusedError(f"{method} {path}: {error.code}: {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise RefusedError(f"{service} does not answer: {error}") from error


def given(options: argparse.Namespace, *names: str) -> list[str]:
    """Options to hand on to a command, where they are given."""
    found = ((name, getattr(options, name)) for name in names)
    return [word for name, value in found if value is not None for word in (f"--{name.replace('_', '-')}", str(value))]


def say(text: str) -> None:
    """One step, as make prints its own."""
    print(f"==> {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="folder of the service's versions, like bundles/shop")
    parser.add_argument("--service", default="http://127.0.0.1:8000", metavar="URL", help="(http://127.0.0.1:8000)")
    parser.add_argument("--database", metavar="URL", help="the service's (EVENHAND_DATABASE_URL hides a password)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="what the old version was trained on, where order matters"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/retrain"), help="where a refused one stays (build/retrain)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of `training run`")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--leakage-at-most", type=float, metavar="AUC", help="of verdicts")
    parser.add_argument("--kept-at-least", type=float, metavar="SHARE", help="of verdicts")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RefusedError as refused:
        print(f"error: {refused}", file=sys.stderr)
        sys.exit(2)
