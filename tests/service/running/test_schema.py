"""The published schema against the running service: every route, every check of schemathesis."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from bundle import write_bundle
from service.access import SCOPES
from service.commands import make_key

CONFIG = Path(__file__).with_name("schemathesis.toml")


def test_every_route_answers_as_the_schema_says(tmp_path, a_bundle, a_service):
    url = f"sqlite:///{tmp_path}/store.db"
    key = make_key(url, "all", SCOPES, None)
    service = a_service(_with_ids_of_the_examples(a_bundle, tmp_path), database_url=url, rate_limit="off")
    program = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG]
    what = ["run", f"{service.url}/openapi.json", "--checks", "all", "--continue-on-failure"]
    how = ["--seed", "1", "--no-color", "--suppress-health-check", "all", "--header", f"Authorization: Bearer {key}"]

    done = subprocess.run([*program, *what, *how], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert "Tested: 32" in done.stdout, done.stdout
    assert "request failed" not in service.output


def _with_ids_of_the_examples(a_bundle, tmp_path):
    """So that the schema's examples are answered with lists."""
    bundle = a_bundle(version="2026-01-31", users=4, items=6)
    groups = (("Drama",), ("Comedy",)) * 3
    items = replace(bundle.items, ids=("50", "181", "1", "2", "3", "4"), groups=groups)
    return write_bundle(
        replace(bundle, items=items, users=replace(bundle.users, ids=("42", "1", "2", "3"))), tmp_path / "bundles"
    )
