"""`make image-check` has the image import every module; here the same code asks the same files, without an image."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CODE = ("balance", "bundle", "measure", "service")
ONLY = """
import sys
class NotInTheImage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"{{name}} is not in the image", name=name)
sys.meta_path.insert(0, NotInTheImage())
"""


def script(name: str) -> object:
    """A file of deploy/ as a module."""
    loader = SourceFileLoader(name.replace("-", "_").removesuffix(".py"), str(ROOT / "deploy" / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def installed(lines: list[str]) -> set[str]:
    """Distributions that these requirements bring, those of their own included."""
    found: set[tuple[str, str]] = set()

    def add(line: str, extra: str) -> None:
        wanted = Requirement(line)
        name = canonicalize_name(wanted.name)
        if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
            return
        for chosen in ("", *wanted.extras):
            if (name, chosen) not in found:
                found.add((name, chosen))
                for inner in importlib.metadata.requires(name) or ():
                    add(inner, chosen)

    for line in lines:
        add(line, "")
    return {name for name, _ in found}


def not_in_the_image() -> Iterator[str]:
    """Modules that this environment has and the image does not."""
    brought = installed(script("requirements.py").requirements(ROOT / "pyproject.toml", "cpu"))
    for module, by in importlib.metadata.packages_distributions().items():
        if not brought & set(map(canonicalize_name, by)) and module not in CODE:
            yield module


def test_every_module_of_the_image_imports_with_nothing_but_what_the_image_has(tmp_path):
    for folder in CODE:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    code = ONLY.format(missing={*not_in_the_image(), "training", "tests"}) + script("image-check").IMPORT_ALL

    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    assert "modules import" in done.stdout


def test_what_the_image_has_leaves_out_what_only_trains_or_tests():
    missing = set(not_in_the_image())

    assert {"pytest", "polars", "playwright"} <= missing
    assert not {"torch", "faiss", "fastapi", "sqlalchemy", "sklearn"} & missing
