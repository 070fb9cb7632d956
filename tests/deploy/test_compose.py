"""docker-compose.yml names nothing that the project does not have, and every container is closed as far as possible."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES = yaml.safe_load(TEXT)["services"]
NEEDED = dict.fromkeys(("GRAFANA_ADMIN_PASSWORD", "POSTGRES_PASSWORD", "EVENHAND_SECRET"), "only-for-this-test")
ONE_SHOT = "migrate"

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def resolved(value: str) -> str:
    """Put in the default of ${NAME:-default}, and a value where one must be given."""
    given = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: NEEDED[found[1]], value)
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", given)


def mounts(name: str) -> list[tuple[str, str, str]]:
    """(source, target, mode) of each volume."""
    triples = [resolved(volume).split(":") for volume in SERVICES[name].get("volumes", [])]
    return [(source, target, mode[0] if mode else "rw") for source, target, *mode in triples]


def container_port(name: str) -> str:
    (port,) = SERVICES[name]["ports"]
    return port.rpartition(":")[2]


def test_the_service_is_given_settings_that_it_has_and_accepts(monkeypatch):
    from service.settings import read_settings

    given = {name: resolved(value) for name, value in SERVICES["service"]["environment"].items()}
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    settings = read_settings()

    assert str(settings.bundle) == given["EVENHAND_BUNDLE"]
    assert settings.allow_no_keys
    assert settings.cache == "redis"


def test_the_schema_is_made_before_the_service_starts_and_in_the_same_database():
    from service.store import Database

    order = {name: SERVICES[name]["depends_on"] for name in ("service", ONE_SHOT)}
    urls = {resolved(SERVICES[name]["environment"]["EVENHAND_DATABASE_URL"]) for name in order}
    (url,) = urls

    assert order["service"][ONE_SHOT] == {"condition": "service_completed_successfully"}
    assert order[ONE_SHOT]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES[ONE_SHOT]["command"] == ["migrate"]
    assert SERVICES[ONE_SHOT]["image"] == SERVICES["service"]["image"]
    assert SERVICES[ONE_SHOT]["restart"] == "no"
    assert (Database(url).url.host, Database(url).url.password) == ("postgres", NEEDED["POSTGRES_PASSWORD"])


def test_database_and_redis_are_published_nowhere_and_on_a_network_of_their_own():
    for name in ("postgres", "redis"):
        assert "ports" not in SERVICES[name]
        assert SERVICES[name]["networks"] == ["stores"]
    assert yaml.safe_load(TEXT)["networks"]["stores"]["internal"] is True
    assert [name for name, one in SERVICES.items() if "stores" in one.get("networks", ())] == [
        "service",
        ONE_SHOT,
        "postgres",
        "redis",
    ]


def test_what_must_outlive_a_container_is_in_a_volume():
    kept = {source for name in SERVICES for source, _, mode in mounts(name) if mode == "rw"}

    assert kept == set(yaml.safe_load(TEXT)["volumes"])
    assert ("postgres-data", "/var/lib/postgresql/data", "rw") in mounts("postgres")


def test_the_example_of_the_secrets_names_all_that_must_be_given_and_holds_none():
    lines = [line for line in (ROOT / "deploy/env.example").read_text().splitlines() if line and line[0] != "#"]

    assert dict(line.split("=") for line in lines) == dict.fromkeys(NEEDED, "")
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_bundle_is_served_from_the_folder_that_is_mounted_read_only():
    (folder,) = mounts("service")

    assert folder == ("./bundles", "/bundles", "ro")
    assert SERVICES["service"]["environment"]["EVENHAND_BUNDLE"].startswith(f"{folder[1]}/")


def test_without_keys_the_service_is_published_on_loopback_only():
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service.get("ports", ()))


@every_service
def test_each_container_has_a_read_only_root_and_no_way_to_more_rights(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


@every_service
def test_each_container_has_a_health_check(name):
    if name == ONE_SHOT:
        assert SERVICES[name]["healthcheck"] == {"disable": True}
        return
    in_the_image = "build" in SERVICES[name] and "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()

    assert in_the_image or "healthcheck" in SERVICES[name]


@every_service
def test_each_image_is_built_here_or_pinned(name):
    service = SERVICES[name]

    if "build" in service:
        stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
        assert service["build"]["target"] in stages
        assert all(f"ARG {argument}=" in (ROOT / "Dockerfile").read_text() for argument in service["build"]["args"])
    elif name != ONE_SHOT:
        assert re.fullmatch(r"[\w./-]+:v?\d+(\.\d+){1,2}(-bookworm)?", service["image"])


@every_service
def test_each_mounted_folder_of_the_project_exists(name):
    folders = [source for source, _, _ in mounts(name) if source.startswith("./deploy")]

    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []


@every_service
def test_the_project_is_mounted_read_only(name):
    assert [source for source, _, mode in mounts(name) if source.startswith(".") and mode != "ro"] == []


def test_the_service_listens_where_its_port_is_published():
    assert f"EVENHAND_PORT={container_port('service')}" in (ROOT / "Dockerfile").read_text()


def test_prometheus_scrapes_the_service_where_it_listens():
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}

    assert targets["evenhand"] == [f"service:{container_port('service')}"]


def test_prometheus_loads_the_alert_rules():
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())

    assert config["rule_files"]
    assert [name for name in config["rule_files"] if not (ROOT / "deploy/prometheus" / name).is_file()] == []


def test_grafana_asks_prometheus_where_it_listens():
    config = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())

    assert [source["url"] for source in config["datasources"]] == [f"http://prometheus:{container_port('prometheus')}"]


def test_grafana_looks_for_dashboards_where_they_are_mounted():
    config = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/evenhand.yml").read_text())
    targets = {target: source for source, target, _ in mounts("grafana")}

    folders = [ROOT / targets[provider["options"]["path"]] for provider in config["providers"]]

    assert all(list(folder.glob("*.json")) for folder in folders)


def test_nobody_sees_grafana_without_a_password_unless_asked_for():
    environment = SERVICES["grafana"]["environment"]

    assert resolved(environment["GF_AUTH_ANONYMOUS_ENABLED"]) == "false"
    assert environment["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GRAFANA_ADMIN_PASSWORD:?")


def test_every_variable_that_a_person_may_set_is_documented():
    named = set(re.findall(r"\$\{(\w+)", TEXT))

    text = (ROOT / "docs/operations.md").read_text()

    assert named >= set(NEEDED)
    assert [name for name in sorted(named) if f"`{name}`" not in text] == []


@pytest.mark.debian
@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_docker_compose_accepts_the_file():
    def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = ["docker-compose", "--file", "docker-compose.yml", "config", "--quiet"]
        path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        return subprocess.run(command, cwd=ROOT, env=path | environment, capture_output=True, text=True, check=False)

    accepted, without_password = check(NEEDED), check({})

    assert accepted.returncode == 0, accepted.stderr
    assert without_password.returncode != 0
    assert any(name in without_password.stderr for name in NEEDED)


@pytest.mark.debian
@pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
def test_redis_takes_the_settings_it_is_given_and_answers_its_health_check(tmp_path):
    command, (_, *check) = SERVICES["redis"]["command"], SERVICES["redis"]["healthcheck"]["test"]
    path = tmp_path / "redis.sock"
    here = ["--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path)]

    def ask(*words: str) -> list[str]:
        asked = [check[0], "-s", str(path), *words]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()

    with subprocess.Popen([*command, *here], stdout=subprocess.DEVNULL) as server:
        try:
            for _ in range(1200):
                if path.exists() and ask(*check[1:]) == ["PONG"]:
                    break
                assert server.poll() is None
                time.sleep(0.05)
            given = {
                name.removeprefix("--"): ask("config", "get", name.removeprefix("--"))[1:] for name in command[1::2]
            }
        finally:
            server.terminate()

    assert given == {
        "save": [],
        "appendonly": ["no"],
        "maxmemory": [str(256 * 2**20)],
        "maxmemory-policy": ["volatile-lru"],
    }
