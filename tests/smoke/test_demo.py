"""`make demo`, the README and examples/, as a newcomer runs them; one demo serves all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests import nursery

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("preloaded")
EXAMPLE = re.compile(r"```sh\n(curl .*?)\n```\n\n<!-- answer -->\n```json\n(.*?)\n```", re.DOTALL)


def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def shape(value):
    """The keys and types of a JSON value; what is in it may differ by machine."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def test_the_demo_prints_requests_with_their_answers(demo):
    address, printed, _ = demo

    assert f'curl "{address}/recommend' in printed
    assert '"attribute": "gender"' in printed
    assert '"code": "unknown_attribute"' in printed


def test_the_readme_has_examples():
    assert len(EXAMPLE.findall((ROOT / "README.md").read_text())) >= 3


@pytest.mark.parametrize(("command", "answer"), EXAMPLE.findall((ROOT / "README.md").read_text()))
def test_a_pasted_readme_example_answers_as_the_readme_says(demo, command, answer):
    address, _, _ = demo
    url = command.removeprefix('curl "').removesuffix('"').replace("http://127.0.0.1:8000", address)

    _, body = ask(url)

    expected = json.loads(answer)
    assert shape(body) == shape(expected)
    assert body.get("sensitive") == expected.get("sensitive")
    assert body.get("code") == expected.get("code")


def test_protecting_something_changes_the_list(demo):
    address, _, _ = demo
    users = [str(user) for user in range(1, 40)]
    changed = 0
    for user in users:
        _, nothing = ask(f"{address}/recommend?user={user}&sensitive=")
        _, gender = ask(f"{address}/recommend?user={user}&sensitive=gender")
        changed += nothing.get("items") != gender.get("items")

    assert changed > len(users) // 2


def python(*words, **environment):
    given = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_serve_and_ask_prints_two_lists_of_five(demo):
    printed = python("examples/serve_and_ask.py", str(demo[-1]))

    assert re.findall(r"protected: (.*)", printed) == ["nothing", "age, gender, occupation"]
    assert len(re.findall(r"^  \d\. ", printed, re.MULTILINE)) == 10


@pytest.fixture(scope="module")
def implicit(tmp_path_factory):
    """A folder in which a model of implicit was protected, by short teachers, and what that printed."""
    folder = tmp_path_factory.mktemp("implicit")
    with nursery.preloaded():
        python("-m", "training", "data", "generate", str(folder), "--users", "500", "--items", "120")
        return folder, python("examples/protect_implicit.py", str(folder), **{nursery.ASKED_SHORT: "yes"})


def test_a_model_of_implicit_is_protected_and_served(implicit):
    _, printed = implicit

    assert re.findall(r"protected: (.*)", printed)[-2:] == ["nothing", "age, gender, occupation"]
    assert len(re.findall(r"^  \d\. ", printed, re.MULTILINE)) == 10
    assert len([line for line in (ROOT / "examples/protect_implicit.py").read_text().splitlines() if line]) < 30


def test_audit_and_read_says_why_a_quick_look_is_not_judged(implicit):
    folder, _ = implicit
    printed = python("examples/audit_and_read.py", str(folder / "bundles" / "vectors"))

    assert "verdict: not_judged (exit status 4)" in printed
    assert "not judged: everything, because the quick profile is a look" in printed
    assert re.findall(r"^  (\w+): AUC 0\.\d+ by \w+, unprotected 0\.\d+$", printed, re.MULTILINE) == [
        "gender",
        "age",
        "occupation",
    ]


def test_the_notebook_is_the_first_example_with_a_folder_of_its_own():
    cells = json.loads((ROOT / "examples/protect_implicit.ipynb").read_text())["cells"]
    script = (ROOT / "examples/protect_implicit.py").read_text().split('"""')[2]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")

    ours, theirs = ([line for line in text.splitlines() if line.strip()] for text in (script, code))
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == [
        ("folder, here = Path(sys.argv[1]), Path(__file__).parent", 'folder, here = Path("tables"), Path("examples")')
    ]
