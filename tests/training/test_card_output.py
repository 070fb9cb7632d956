"""What a card looks like: the terminal's tables, and the report."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from bundle import write_bundle
from measure.profiles import PROFILES, Profile
from training.__main__ import main
from training.card import make_card
from training.summary import summary

LOOK = Profile("quick", ("logistic",), 2, 1, 1, 20, 50, fit_rows=300, verdict=False)


@pytest.fixture(scope="module")
def bundle(a_bundle):
    """A bundle with three attributes, new users, and its card."""
    seen = {f"u{user}": [f"i{(user + step) % 30}" for step in range(8)] for user in range(450)}
    bundle = a_bundle(users=450, items=30, attributes=("gender", "age", "occupation"), seen=seen)
    test = np.array([bundle.seen.of(row)[-1] for row in range(450)], np.int32)
    audit = replace(bundle.audit, test=test, folded_in=(np.arange(450) % 6 == 2))
    bundle = replace(bundle, audit=audit)
    return replace(bundle, card=make_card(bundle, LOOK))


def test_the_summary_fits_one_screen_and_tells_masks_new_users_and_joined_answers(bundle):
    told = summary(bundle.card)

    assert len(told.splitlines()) <= 45
    assert max(map(len, told.splitlines())) <= 120
    for words in ("gender, age, occupation", "new users", "vectors joined", "lists joined", "control"):
        assert words in told


def test_the_summary_shows_in_the_fair_vector_only_what_is_protected(bundle):
    told = summary(bundle.card)

    for row in bundle.card["leakage"]["by_mask"]:
        if row["target"] == "fair":
            line = f"{', '.join(row['sensitive']):<28} {row['attribute']:<14} {row['strongest']['auc']:>7.3f}"
            assert (line in told) == (row["attribute"] in row["sensitive"])


def test_a_report_is_two_files_that_need_nothing_else(bundle, tmp_path, capsys, monkeypatch):
    path = write_bundle(bundle, tmp_path / "bundles")
    monkeypatch.chdir(tmp_path)

    assert main(["report", str(path)]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed == ["reports/tiny-1/report.html", "reports/tiny-1/report.md"]
    page, tables = ((tmp_path / name).read_text("utf-8") for name in printed)
    assert not re.search(r"""(src|href)=(?!["']?#)|url\(|@import|<script""", page)
    for words in ("Cross-leakage", "Accuracy by group", "New users", "Several masks together", "Lists"):
        assert words in page
        assert words in tables
    assert str(tmp_path) not in page + tables


def test_a_report_goes_where_it_is_told(bundle, tmp_path, capsys):
    path = write_bundle(bundle, tmp_path / "bundles")

    assert main(["report", str(path), "--out", str(tmp_path / "a" / "b")]) == 0

    assert {file.name for file in (tmp_path / "a" / "b").iterdir()} == {"report.html", "report.md"}


def test_evaluate_prints_the_card_and_how_long_it_took(bundle, tmp_path, capsys, monkeypatch):
    path = write_bundle(bundle, tmp_path / "bundles")
    monkeypatch.setitem(PROFILES, "quick", LOOK)

    assert main(["evaluate", str(path), "--workers", "1"]) == 0
    assert re.search(r"^profile quick: \d+ s$", capsys.readouterr().out, re.MULTILINE)

    assert main(["evaluate", str(path), "--workers", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(bundle.card))
