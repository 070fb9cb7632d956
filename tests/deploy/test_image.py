"""The Dockerfile names nothing that the project does not have, and lets in nothing that the service does not need."""

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined, comments dropped."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def arguments(name: str) -> list[str]:
    return [rest for word, rest in instructions() if word == name]


def copied() -> list[str]:
    """What the build takes from the project."""
    sources = [rest.split()[:-1] for rest in arguments("COPY") if not rest.startswith("--from")]
    return sorted(source for words in sources for source in words)


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for rest in arguments("ENV") for word in rest.split())


def requirements(target: str) -> list[str]:
    command = [sys.executable, ROOT / "deploy/requirements.py", target]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [re.split(r"[<>=!~\[; ]", line)[0].lower().replace("_", "-") for line in printed.split("\n") if line]


def test_everything_the_image_copies_exists():
    missing = [source for source in copied() if not (ROOT / source).exists()]

    assert copied()
    assert missing == []


def test_the_build_context_is_exactly_what_the_image_copies():
    lines = (ROOT / ".dockerignore").read_text().split("\n")

    allowed = sorted(line[1:] for line in lines if line.startswith("!"))

    assert "*" in lines
    assert allowed == copied()


def test_training_code_and_tests_stay_out_of_the_image():
    assert not [source for source in copied() if fnmatch(source, "train*") or fnmatch(source, "test*")]


def test_the_image_sets_only_settings_that_the_service_has():
    from service.settings import Settings

    known = {f"EVENHAND_{name.upper()}" for name in Settings.model_fields}
    used = {name for name in environment() if name.startswith("EVENHAND_")}
    used |= set(re.findall(r"EVENHAND_[A-Z_]+", " ".join(arguments("HEALTHCHECK"))))

    assert used
    assert used <= known


def test_the_exposed_port_is_the_one_listened_on():
    assert arguments("EXPOSE") == [environment()["EVENHAND_PORT"]]


def test_the_image_runs_as_a_fixed_number_that_is_not_root():
    """A number, so that an orchestrator can see that it is not root without reading the image."""
    (user,) = arguments("USER")

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_the_last_target_is_cpu_and_there_is_one_for_gpu():
    stages = [rest.split()[-1] for rest in arguments("FROM")]

    assert stages[-1] == "cpu"
    assert "gpu" in stages


def test_each_target_installs_its_own_faiss_and_not_the_other():
    """Their wheels bring the same module: together, the one overwrites the other's files."""
    cpu, gpu = requirements("cpu"), requirements("gpu")

    assert "faiss-cpu" in cpu
    assert "faiss-gpu" not in cpu
    assert "faiss-gpu" in gpu
    assert "faiss-cpu" not in gpu


def test_the_image_installs_nothing_that_only_trains_or_tests():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    offline = {re.split(r"[<>=]", line)[0].lower() for extra in ("train", "test") for line in extras[extra]}
    audit = {re.split(r"[<>=]", line)[0].lower() for line in extras["audit"]}

    assert set(requirements("cpu")) & (offline - audit) == set()


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_every_package_of_the_image_is_pinned(target):
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").split("\n")

    unpinned = [name for name in requirements(target) if not any(line.startswith(f"{name}==") for line in lines)]

    assert unpinned == []


def test_the_command_that_the_image_runs_exists():
    (entrypoint,), (command,) = arguments("ENTRYPOINT"), arguments("CMD")
    words = [*json.loads(entrypoint), *json.loads(command)]

    done = subprocess.run([sys.executable, *words[1:], "--help"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert words[0] == "python"
    assert done.returncode == 0, done.stderr


def test_the_health_check_asks_a_route_that_the_service_has():
    from service.api import published_schema

    (check,) = arguments("HEALTHCHECK")

    (path,) = re.findall(r"'GET', '(/[a-z/]+)'", check)

    assert path in published_schema()["paths"]


@pytest.mark.parametrize("name", ["Dockerfile", "deploy/image-check", "deploy/requirements.py"])
def test_no_index_or_mirror_is_written_down(name):
    """Where packages come from is the caller's business; it goes in as a secret."""
    assert re.findall(r"(?:https?|file)://(?!127\.0\.0\.1)\w\S*", (ROOT / name).read_text()) == []
