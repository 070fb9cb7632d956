"""A real Prometheus scrapes a real service: every question of the dashboard has an answer, every alert rule is loaded.

That each alert can fire is tested in test_monitoring.py, with promtool.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from bundle import write_bundle
from tests.nursery import preloaded

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/evenhand.json").read_text())
RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
NEEDED = ("prometheus", "redis-server")

pytestmark = [
    pytest.mark.debian,
    pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"{' or '.join(NEEDED)} is not installed"),
]


@dataclass(frozen=True)
class Watched:
    """A service, and the Prometheus that watches it."""

    service: str
    prometheus: str

    def ask(self, expression: str) -> list[float]:
        """What Prometheus answers to an expression of the dashboard, as numbers."""
        filled = re.sub(r"\$(?!__)\w+", ".*", expression).replace("$__rate_interval", "15s")
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": filled}, verify=False).json()
        assert answer["status"] == "success", answer
        return [float(sample["value"][1]) for sample in answer["data"]["result"]]


def a_free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(condition: Callable[[], Any], within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def watched(a_bundle: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Both running, after some traffic of every kind."""
    home = tmp_path_factory.mktemp("watched")
    bundles = home / "bundles"
    folder = write_bundle(a_bundle(seen={"u0": ["i1"]}), bundles)
    write_bundle(a_bundle(version="2", seed=2), bundles)
    service, prometheus, redis = (a_free_port() for _ in range(3))
    settings = {
        "EVENHAND_BUNDLE": str(folder),
        "EVENHAND_PORT": str(service),
        "EVENHAND_DATABASE_URL": f"sqlite:///{home}/state/evenhand.db",
        "EVENHAND_CACHE": "redis",
        "EVENHAND_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        "EVENHAND_REDIS_TIMEOUT_MS": "1000",
        "EVENHAND_LOG_LEVEL": "warning",
        "OMP_NUM_THREADS": "1",
    }
    plain = {name: value for name, value in os.environ.items() if not name.startswith("EVENHAND_")}
    config = a_config(home, service)
    with ExitStack() as stack:

        def run(*command: object, **environment: str) -> None:
            words = [str(word) for word in command]
            process = subprocess.Popen(words, cwd=ROOT, env=plain | environment, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)

        run("redis-server", "--bind", "127.0.0.1", "--port", redis, "--save", "", "--loglevel", "warning")
        with preloaded():
            run(sys.executable, "-m", "service", "serve", **settings)
        listen = f"--web.listen-address=127.0.0.1:{prometheus}"
        run("prometheus", f"--config.file={config}", f"--storage.tsdb.path={home}/tsdb", listen)
        both = Watched(f"http://127.0.0.1:{service}", f"http://127.0.0.1:{prometheus}")
        until(lambda: httpx.get(f"{both.service}/health/ready", verify=False).status_code == 200)
        until(lambda: both.ask('up{job="evenhand"}') == [1.0])
        for _ in range(4):
            traffic(both.service)
            time.sleep(1.0)
        until(lambda: both.ask("rate(evenhand_requests_total[15s])"))
        yield both


def a_config(home: Path, port: int) -> Path:
    """The deployed configuration, but quicker and looking at another address."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "deploy/prometheus" / name) for name in config["rule_files"]]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    jobs["evenhand"]["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    config["scrape_configs"] = [jobs["evenhand"]]
    path = home / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


def traffic(url: str) -> None:
    with httpx.Client(base_url=url) as client:
        for user in range(6):
            for sensitive in ("", "gender", "gender,age"):
                assert client.get(f"/recommend?user=u{user}&sensitive={sensitive}").status_code == 200
        assert client.get("/recommend?user=nobody").status_code == 404
        assert client.post("/interactions", json={"user": "u0", "item": "i2"}).status_code == 200
        assert client.post("/models/2/activate").status_code == 200
        assert client.post("/models/none/activate").status_code == 404


@pytest.mark.parametrize(
    ("title", "expression"),
    [
        (panel["title"], target["expr"])
        for panel in DASHBOARD["panels"]
        if panel["type"] != "row"
        for target in panel["targets"]
    ],
)
def test_a_question_of_the_dashboard_has_an_answer(watched: Watched, title: str, expression: str):
    numbers = watched.ask(expression)

    assert [number for number in numbers if math.isfinite(number)], f"{title}: {numbers}"


def test_every_alert_rule_is_loaded_and_healthy_and_none_fires_without_cause(watched: Watched):
    def rules() -> list[dict[str, Any]]:
        groups = httpx.get(f"{watched.prometheus}/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    until(lambda: all(rule["health"] == "ok" for rule in rules()))

    loaded = {rule["name"]: rule for rule in rules()}
    assert set(loaded) == {rule["alert"] for group in RULES["groups"] for rule in group["rules"]}
    # Traffic asked for a bundle that does not exist; that alert has no patience.
    firing = {name for name, rule in loaded.items() if rule["state"] == "firing"}
    assert firing == {"EvenhandActivationFailed"}


def test_prometheus_sees_every_part_and_no_user_in_any_label(watched: Watched):
    series = httpx.get(f"{watched.prometheus}/api/v1/series", params={"match[]": '{job="evenhand"}'}).json()["data"]

    parts = {one["part"] for one in series if one["__name__"] == "evenhand_up"}
    values = {value for one in series for name, value in one.items() if name != "instance"}
    assert parts == {"worker", "store", "model", "upkeep", "audits", "redis", "news"}
    assert not values & {f"u{user}" for user in range(6)} | values & {"nobody", "F", "M", "gender", "age"}
    ours = {one["__name__"] for one in series if not re.match(r"up$|scrape_|ALERTS", one["__name__"])}
    assert {name for name in ours if not name.startswith("evenhand_")} == set()
