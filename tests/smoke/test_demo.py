"""`make demo` and the README, as a newcomer runs them."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
