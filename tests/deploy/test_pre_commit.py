"""The hooks before a commit call tools that `make setup` installs, and no code from elsewhere."""

import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
(LOCAL,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_every_hook_is_local():
    assert LOCAL["repo"] == "local"
    assert {hook["language"] for hook in LOCAL["hooks"]} == {"system"}


@pytest.mark.parametrize("hook", LOCAL["hooks"], ids=lambda hook: hook["id"])
def test_the_tool_of_a_hook_is_installed(hook):
    tool = Path(hook["entry"].split()[0])

    assert tool.parent == Path(".venv/bin")
    assert (Path(sys.executable).parent / tool.name).is_file()
