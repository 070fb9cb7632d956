"""The docs say what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_every_setting_is_documented_and_nothing_else_is():
    table = (ROOT / "docs" / "operations.md").read_text().split("## Settings")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `EVENHAND_([A-Z_]+)`", table, re.MULTILINE))

    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_relative_link_in_the_docs_leads_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_decision_is_in_the_index_under_its_number():
    folder = ROOT / "docs" / "decisions"
    pages = sorted(page.name for page in folder.glob("[0-9]*.md"))
    listed = re.findall(r"^\| \[(\d{4})\]\((\S+?)\)", (folder / "README.md").read_text(), re.MULTILINE)

    assert [name for _, name in listed] == pages
    assert all(name.startswith(number) for number, name in listed)
