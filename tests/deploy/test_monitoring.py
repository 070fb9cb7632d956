"""Alerts and dashboard ask for numbers that the service really exports, with labels that these really have."""

import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/evenhand.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]
}

SAMPLES = {
    "counter": ("_total",),
    "gauge": ("",),  # of the process too, which have no labels
    "histogram": ("_bucket", "_sum", "_count"),
    "info": ("_info",),
}
BY_PROMETHEUS = {"instance", "job", "le"}

every_expression = pytest.mark.parametrize("where", sorted(EXPRESSIONS))
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool (package prometheus) is not installed"
)


def exported() -> dict[str, set[str]]:
    """Each sample name that the service exports, with its labels."""
    from service.metrics import Metrics

    metrics = Metrics()
    labels = {part._name: set(part._labelnames) for part in vars(metrics).values() if hasattr(part, "_labelnames")}
    return {
        family.name + suffix: labels.get(family.name, set())
        | ({"name", "version", "content_hash"} if suffix == "_info" else set())
        for family in metrics.registry.collect()
        for suffix in SAMPLES[family.type]
    }


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """(metric, labels that its selector names) for each of our metrics in an expression."""
    found = re.findall(r"(evenhand_\w+)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))) for name, inside in found]


@every_expression
def test_it_asks_for_metrics_and_labels_that_the_service_exports(where):
    known = exported()
    asked = selectors(EXPRESSIONS[where])

    assert asked or "up{" in EXPRESSIONS[where]
    assert [name for name, _ in asked if name not in known] == []
    assert [(name, labels) for name, labels in asked if not labels <= known[name] | BY_PROMETHEUS] == []


@every_expression
def test_it_groups_by_labels_that_its_metrics_have(where):
    known = exported()
    had = BY_PROMETHEUS.union(*[known[name] for name, _ in selectors(EXPRESSIONS[where])])

    grouped = {word for words in re.findall(r"by \(([^)]*)\)", EXPRESSIONS[where]) for word in re.split(r",\s*", words)}

    assert grouped <= had


def test_the_alerts_name_routes_and_refusals_that_the_service_has():
    from service import errors
    from service.api import published_schema

    text = " ".join(rule["expr"] for rule in RULES)
    codes = {error.code for error in vars(errors).values() if hasattr(error, "code")}

    reasons = {reason for value in re.findall(r'reason=~?"([^"]+)"', text) for reason in value.split("|")}
    routes = set(re.findall(r'route="([^"]+)"', text))

    assert reasons
    assert reasons <= codes
    assert routes
    assert routes <= set(published_schema()["paths"])


def test_every_metric_of_the_service_is_on_the_dashboard():
    shown = {name for panel in PANELS for target in panel["targets"] for name, _ in selectors(target["expr"])}

    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}

    known = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exported()}
    assert {name for name in known if not name.startswith("evenhand_process_")} <= stems


def test_every_question_is_asked_once_and_every_panel_has_a_unit():
    asked = [target["expr"] for panel in PANELS for target in panel["targets"]]

    assert len(set(asked)) == len(asked)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)


def test_the_parts_and_endings_that_alerts_name_are_those_of_the_service():
    from service.health import NEEDED
    from service.model.following import ENDINGS

    text = " ".join(rule["expr"] for rule in RULES)
    parts = {part for value in re.findall(r'part!?=~?"([^"]+)"', text) for part in value.split("|")}
    endings = {ending for value in re.findall(r'outcome=~"([^"]+)"', text) for ending in value.split("|")}

    assert parts == {"store", "redis"}
    assert "store" in NEEDED
    assert endings < set(ENDINGS)


def test_every_alert_says_how_bad_it_is_and_what_it_means_and_is_in_the_manual():
    manual = (ROOT / "docs/operations.md").read_text()

    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert f"`{rule['alert']}`" in manual


def test_panels_have_their_own_numbers_and_do_not_overlap():
    every = DASHBOARD["panels"]
    places = [panel["gridPos"] for panel in every]

    assert len({panel["id"] for panel in every}) == len(every)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


def test_panels_say_what_they_show_and_ask_the_provisioned_data_source():
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    (uid,) = [source["uid"] for source in sources["datasources"]]

    assert {panel["datasource"]["uid"] for panel in PANELS} == {uid}
    assert {variable["datasource"]["uid"] for variable in DASHBOARD["templating"]["list"]} == {uid}
    assert all(panel["description"] for panel in PANELS)


def test_expressions_use_only_variables_that_the_dashboard_has():
    defined = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__rate_interval"}

    used = {name for expression in EXPRESSIONS.values() for name in re.findall(r"\$(\w+)", expression)}

    assert used <= defined


@pytest.mark.debian
@needs_promtool
def test_prometheus_accepts_its_configuration_and_every_expression_of_the_dashboard(tmp_path):
    for name in ("instance", "route"):
        assert any(f"${name}" in expression for expression in EXPRESSIONS.values())
    filled = [re.sub(r"\$(?!__)\w+", ".*", text).replace("$__rate_interval", "1m") for text in EXPRESSIONS.values()]
    rules = [{"record": f"expression:{number}", "expr": text} for number, text in enumerate(filled)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    config = ["promtool", "check", "config", PROMETHEUS / "prometheus.yml"]
    expressions = ["promtool", "check", "rules", tmp_path / "rules.yml"]
    for command in (config, expressions):
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.debian
@needs_promtool
def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    """The cases are in alerts.yml beside this file."""
    cases = yaml.safe_load((Path(__file__).parent / "alerts.yml").read_text())
    cases["rule_files"] = [str(PROMETHEUS / "alerts.yml")]
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))

    command = ["promtool", "test", "rules", tmp_path / "cases.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert {case["alertname"] for test in cases["tests"] for case in test["alert_rule_test"]} == {
        rule["alert"] for rule in RULES
    }
    assert done.returncode == 0, done.stdout + done.stderr
