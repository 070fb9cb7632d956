"""The build sees what the caller's pip is set to, and the local places that this names."""

import configparser
import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def image_check() -> ModuleType:
    loader = SourceFileLoader("image_check", str(ROOT / "deploy/image-check"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("image_check", loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def pip_file(tmp_path, monkeypatch):
    """Let pip read one file of ours and nothing else."""
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_DEFAULT_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "caller.conf"
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    return path


def test_the_environment_overrides_the_file_and_local_places_are_found(image_check, pip_file, tmp_path, monkeypatch):
    wheels, index = tmp_path / "wheels", tmp_path / "mirror/simple"
    wheels.mkdir()
    index.mkdir(parents=True)
    pip_file.write_text(
        f"[global]\nfind-links = /nowhere\nextra-index-url =\n    file://{index}\n    https://a.test/b\n"
    )
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))

    path, places = image_check.pip_settings(tmp_path)

    written = configparser.RawConfigParser()
    written.read(path)
    assert written["global"]["find-links"] == str(wheels)
    assert written["global"]["extra-index-url"].split() == [f"file://{index}", "https://a.test/b"]
    assert wheels in places
    assert index.parent in places
    assert not [place for place in places if str(place) == "/nowhere"]


def test_settings_that_are_not_about_where_packages_come_from_stay_out(image_check, pip_file, tmp_path):
    pip_file.write_text("[global]\nrequire-virtualenv = true\n[install]\nuser = true\nretries = 3\n")

    path, _ = image_check.pip_settings(tmp_path)

    written = configparser.RawConfigParser()
    written.read(path)
    assert written["global"]["retries"] == "3"
    assert "user" not in written["global"]
    assert "require-virtualenv" not in written["global"]


def test_the_pip_configuration_can_be_read_by_its_owner_only(image_check, pip_file, tmp_path):
    """An index address may carry a password."""
    pip_file.write_text("")

    path, _ = image_check.pip_settings(tmp_path)

    assert path.stat().st_mode & 0o077 == 0
