"""deploy/kubernetes fits the published schemas of Kubernetes, and names nothing that the project does not have."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
KUBERNETES = ("1.29", "1.37")
"""The oldest and the newest version whose schemas the objects fit."""
BUILT_IN = {"apps/v1", "v1", "batch/v1", "policy/v1", "networking.k8s.io/v1", "autoscaling/v2"}
MANUAL = (ROOT / "docs/operations.md").read_text()


def objects() -> dict[str, Any]:
    """Each file of the folder that is an object by itself, and no patch."""
    found = {}
    for kustomization in sorted(FOLDER.glob("*/kustomization.yaml")):
        for name in yaml.safe_load(kustomization.read_text())["resources"]:
            path = kustomization.parent / name
            if path.is_file():
                found[str(path.relative_to(FOLDER))] = yaml.safe_load(path.read_text())
    return found


OBJECTS = objects()
BY_KIND = {found["kind"]: found for found in OBJECTS.values()}
PODS = {kind: BY_KIND[kind]["spec"]["template"] for kind in ("Deployment", "Job")}
POD = PODS["Deployment"]["spec"]
(CONTAINER,) = POD["containers"]
ENVIRONMENT = {each["name"]: each for each in CONTAINER["env"]}
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}

every_object = pytest.mark.parametrize("name", sorted(OBJECTS))
every_pod = pytest.mark.parametrize("kind", sorted(PODS))
needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")


def built(folder: str | Path) -> dict[str, Any]:
    """What `kubectl apply -k` would send: objects by their kind."""
    done = subprocess.run(["kubectl", "kustomize", FOLDER / folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {found["kind"]: found for found in yaml.safe_load_all(done.stdout)}


def fits(found: dict[str, Any]) -> None:
    for version in KUBERNETES:
        kubernetes_validate.validate(found, version, strict=True)


def image_facts() -> dict[str, str]:
    """Instructions of the Dockerfile that Kubernetes must agree with."""
    return dict(re.findall(r"^(USER|EXPOSE) (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))


@every_object
def test_each_object_fits_the_published_schema_of_its_kind(name):
    found = OBJECTS[name]

    if found["apiVersion"] in BUILT_IN:
        fits(found)
    else:
        assert found["apiVersion"] == "monitoring.coreos.com/v1"


def test_a_mistyped_field_does_not_fit():
    mistyped = {**BY_KIND["Service"], "spec": {**BY_KIND["Service"]["spec"], "selectr": {}}}

    with pytest.raises(kubernetes_validate.ValidationError):
        fits(mistyped)


def test_it_has_every_object_that_a_cluster_wants():
    assert sorted(found["kind"] for found in OBJECTS.values()) == [
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceMonitor",
    ]


def test_every_file_belongs_to_a_kustomization_and_every_name_in_one_is_there():
    named = set()
    for kustomization in FOLDER.glob("*/kustomization.yaml"):
        content = yaml.safe_load(kustomization.read_text())
        names = [
            *content["resources"],
            *content.get("components", ()),
            *(one["path"] for one in content.get("patches", ())),
        ]
        named |= {(kustomization.parent / name).resolve() for name in names} | {kustomization}

    folders = {path for path in named if path.is_dir()}
    assert all((folder / "kustomization.yaml").exists() for folder in folders)
    assert named - folders == {path for path in FOLDER.rglob("*") if path.is_file()}


def test_the_settings_are_those_of_the_service_and_it_accepts_them(monkeypatch):
    from service.settings import read_settings

    secret = {
        "EVENHAND_DATABASE_URL": "postgresql://evenhand:only-for-this-test@postgres/evenhand",
        "EVENHAND_SECRET": "only-for-this-test",
        "EVENHAND_REDIS_URL": "redis://redis/0",
    }
    for name, each in ENVIRONMENT.items():
        monkeypatch.setenv(name, each.get("value") or secret[name])

    settings = read_settings()

    assert settings.metrics_port == PORTS["metrics"]
    assert not settings.allow_no_keys
    assert {name for name, each in ENVIRONMENT.items() if "value" not in each} == set(secret)


def test_secrets_come_from_one_object_whose_keys_the_manual_names():
    wanted = [each["valueFrom"]["secretKeyRef"] for each in ENVIRONMENT.values() if "valueFrom" in each]
    (database,) = PODS["Job"]["spec"]["containers"][0]["env"]

    assert {one["name"] for one in wanted} == {"evenhand"}
    assert all(f"--from-literal={one['key']}=" in MANUAL for one in wanted)
    assert [one["key"] for one in wanted if one.get("optional")] == ["redis-url"]
    assert database == ENVIRONMENT["EVENHAND_DATABASE_URL"]


def test_the_job_runs_a_command_that_the_service_has():
    from service.__main__ import main

    (command,) = PODS["Job"]["spec"]["containers"][0]["args"]

    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0


def test_probes_and_metrics_are_asked_for_at_routes_and_ports_that_there_are():
    from service.api import published_schema

    probes = [CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    (scraped,) = BY_KIND["ServiceMonitor"]["spec"]["endpoints"]
    routes = set(published_schema()["paths"])

    assert {probe["path"] for probe in probes} | {scraped["path"]} <= routes
    assert {probe["port"] for probe in probes} == {"http"}
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert scraped.keys() == {"port", "path", "interval"}


def test_ports_have_the_same_names_and_numbers_everywhere():
    service = {port["name"]: (port["port"], port["targetPort"]) for port in BY_KIND["Service"]["spec"]["ports"]}
    let_in = [port["port"] for rule in BY_KIND["NetworkPolicy"]["spec"]["ingress"] for port in rule["ports"]]
    (scraped,) = BY_KIND["ServiceMonitor"]["spec"]["endpoints"]

    assert str(PORTS["http"]) == image_facts()["EXPOSE"]
    assert service == {name: (number, name) for name, number in PORTS.items()}
    assert sorted(let_in) == sorted(PORTS)
    assert scraped["port"] == "metrics"


def test_whoever_selects_the_replicas_selects_them_and_not_the_migration():
    serving = PODS["Deployment"]["metadata"]["labels"]
    (spread,) = POD["topologySpreadConstraints"]
    selectors = [
        BY_KIND["Service"]["spec"]["selector"],
        spread["labelSelector"]["matchLabels"],
        *(BY_KIND[kind]["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")),
    ]

    assert selectors == [serving] * len(selectors)
    assert serving != PODS["Job"]["metadata"]["labels"]
    assert BY_KIND["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == BY_KIND["Service"]["metadata"]["labels"]


@every_pod
def test_who_may_come_in_and_go_out_is_said_for_each_pod(kind):
    policy = BY_KIND["NetworkPolicy"]["spec"]

    assert policy["podSelector"]["matchLabels"].items() <= PODS[kind]["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert all("from" in rule for rule in policy["ingress"])
    assert all("ports" in rule for rule in policy["egress"])


def test_prometheus_knows_the_service_by_the_job_that_the_alerts_ask_for():
    alerts = (ROOT / "deploy/prometheus/alerts.yml").read_text()

    assert set(re.findall(r'job="([^"]+)"', alerts)) == {BY_KIND["Service"]["metadata"]["name"]}


def test_the_autoscaler_goes_by_gauges_that_the_service_exports_and_scales_the_deployment():
    from service.metrics import Metrics

    gauges = {family.name for family in Metrics().registry.collect() if family.type == "gauge"}
    autoscaler = BY_KIND["HorizontalPodAutoscaler"]["spec"]
    asked = {metric["pods"]["metric"]["name"] for metric in autoscaler["metrics"] if metric["type"] == "Pods"}

    assert asked == {"evenhand_queue_depth"}
    assert asked <= gauges
    assert all(f"{name}{{" in MANUAL for name in asked)
    assert autoscaler["scaleTargetRef"]["name"] == BY_KIND["Deployment"]["metadata"]["name"]
    assert autoscaler["minReplicas"] == BY_KIND["Deployment"]["spec"]["replicas"]
    assert "cpu" in CONTAINER["resources"]["requests"]  # a utilisation is a share of that


def test_a_replica_that_ends_is_given_the_time_that_the_manual_asks_for():
    drain_s = int(ENVIRONMENT["EVENHAND_DRAIN_S"]["value"])
    probe = CONTAINER["readinessProbe"]

    assert "`EVENHAND_DRAIN_S` and 30 s" in MANUAL
    assert POD["terminationGracePeriodSeconds"] >= drain_s + 30
    assert drain_s > probe["periodSeconds"] * probe["failureThreshold"]


@every_pod
def test_each_container_has_a_read_only_root_and_no_way_to_more_rights(kind):
    pod = PODS[kind]["spec"]
    (container,) = pod["containers"]
    user, group = map(int, image_facts()["USER"].split(":"))

    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": group,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")} == {"/tmp"}


def test_the_bundle_is_served_from_the_claim_that_is_mounted_read_only():
    mount = next(mount for mount in CONTAINER["volumeMounts"] if mount["name"] == "bundles")
    volume = next(volume for volume in POD["volumes"] if volume["name"] == "bundles")

    assert mount["readOnly"]
    assert ENVIRONMENT["EVENHAND_BUNDLE"]["value"].startswith(f"{mount['mountPath']}/")
    assert volume["persistentVolumeClaim"]["claimName"] in MANUAL


def test_patches_are_of_things_that_the_base_has():
    patches = [
        yaml.safe_load(path.read_text()) for path in (FOLDER / "gpu/gpu.yaml", FOLDER / "autoscale/replicas.yaml")
    ]

    for patch in patches:
        assert patch["metadata"]["name"] == BY_KIND[patch["kind"]]["metadata"]["name"]
    (container,) = patches[0]["spec"]["template"]["spec"]["containers"]
    assert container["name"] == CONTAINER["name"]


def test_images_are_targets_of_the_dockerfile():
    stages = re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    images = [container["image"] for pod in PODS.values() for container in pod["spec"]["containers"]]
    images.append(
        yaml.safe_load((FOLDER / "gpu/gpu.yaml").read_text())["spec"]["template"]["spec"]["containers"][0]["image"]
    )

    assert {image.partition(":")[0] for image in images} == {"evenhand"}
    assert {image.partition(":")[2] for image in images} == {"cpu", "gpu"}
    assert {"cpu", "gpu"} <= set(stages)


@needs_kubectl
@pytest.mark.parametrize("folder", ["base", "cpu", "gpu"])
def test_what_kustomize_builds_fits_the_schemas_as_well(folder):
    found = built(folder)

    for each in found.values():
        if each["apiVersion"] in BUILT_IN:
            fits(each)
    assert ("HorizontalPodAutoscaler" in found) == (folder != "base")
    assert ("replicas" in found["Deployment"]["spec"]) == (folder == "base")


@needs_kubectl
def test_the_gpu_overlay_asks_for_a_gpu_and_leaves_the_rest_as_it_is():
    (plain,) = built("cpu")["Deployment"]["spec"]["template"]["spec"]["containers"]
    (container,) = built("gpu")["Deployment"]["spec"]["template"]["spec"]["containers"]

    assert container["image"] == "evenhand:gpu"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    changed = {"image", "resources"}
    assert {name: part for name, part in container.items() if name not in changed} == {
        name: part for name, part in plain.items() if name not in changed
    }


@needs_kubectl
def test_the_kustomization_of_the_manual_builds(tmp_path):
    shutil.copytree(FOLDER, tmp_path / "evenhand/deploy/kubernetes")
    block = MANUAL.split("## Kubernetes\n")[1].split("`kustomization.yaml` of your own")[1].split("\n\n")[1]
    (tmp_path / "kustomization.yaml").write_text(textwrap.dedent(block))

    found = built(tmp_path)

    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/evenhand:cpu-0.1.0"
    assert {"EVENHAND_BUNDLE", "EVENHAND_REQUIRED", "EVENHAND_DATABASE_URL"} <= {
        each["name"] for each in container["env"]
    }
    assert {each["metadata"]["namespace"] for each in found.values()} == {"shop"}
