"""The map in docs/architecture.md is the territory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PACKAGES = ("balance", "bundle", "measure", "training", "service")
LINES = 135
"""Two screens."""


def folders() -> set[str]:
    """Folders of the packages that hold files under version control's eye."""
    found = [path for name in PACKAGES for path in [ROOT / name, *(ROOT / name).rglob("*")] if path.is_dir()]
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def listed() -> list[str]:
    table = MAP.split("## Folders")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([\w/]+)/`", cell)]


def test_every_folder_is_on_the_map_once_and_every_folder_on_the_map_exists():
    assert sorted(listed()) == sorted(folders())


def test_the_map_fits_two_screens():
    assert len(MAP.splitlines()) <= LINES


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:balance|bundle|measure|training|service|tests)/[\w/]+(?:\.py|/))`", MAP)))
)
def test_every_path_that_the_map_names_exists(path):
    assert (ROOT / path).exists()
