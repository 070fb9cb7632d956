"""`make outside-ci` notes what it ran and how that ended, and nothing that it did not run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def outside_ci(monkeypatch, tmp_path):
    """The command, with checks of its own and a page that lists one of before."""
    monkeypatch.syspath_prepend(ROOT / "deploy")
    import outside_ci

    checks = {
        "good": outside_ci.Check("ends well", (sys.executable, "-c", "print('fine')")),
        "bad": outside_ci.Check("ends badly", (sys.executable, "-c", "raise SystemExit('no')")),
        "long": outside_ci.Check("never ends", (sys.executable, "-c", "import time; time.sleep(60)"), within_s=1),
        "dear": outside_ci.Check("takes an hour", ("false",), by_name_only=True),
    }
    monkeypatch.setattr(outside_ci, "CHECKS", checks)
    monkeypatch.setattr(outside_ci, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(outside_ci, "LOGS", tmp_path / "logs")
    before = "| dear | takes an hour | 2026-01-02 | abc1234 | passed in 9 s |\n"
    (tmp_path / "page.md").write_text(f"# Page\n\n| dear | another table |\n\n{outside_ci.HEAD}{before}")
    return outside_ci


def lines(module) -> dict[str, str]:
    table = module.PAGE.read_text().partition(module.HEAD)[2]
    return {line.split(" | ")[0][2:]: line for line in table.splitlines()}


def run(module, monkeypatch, *names: str) -> int:
    monkeypatch.setattr(sys, "argv", ["outside_ci.py", *names])
    return int(module.main())


def test_a_check_that_passed_is_noted_with_its_day_and_the_others_keep_their_lines(outside_ci, monkeypatch, capsys):
    status = run(outside_ci, monkeypatch, "good")

    noted = lines(outside_ci)
    assert status == 0
    assert re.fullmatch(r"\| good \| ends well \| \d{4}-\d\d-\d\d \| \S+.* \| passed in \d+ s \|", noted["good"])
    assert noted["dear"] == "| dear | takes an hour | 2026-01-02 | abc1234 | passed in 9 s |"
    assert noted["bad"].endswith("| never | | not run |")
    assert "not run: bad, long, dear" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["bad", "long"])
def test_a_check_that_fails_or_does_not_end_is_never_noted_as_passed(outside_ci, monkeypatch, name):
    assert run(outside_ci, monkeypatch, "good", name) == 1

    noted = lines(outside_ci)
    assert "**failed**" in noted[name]
    assert "passed" in noted["good"]


def test_an_hour_is_spent_only_where_it_is_asked_for_by_name(outside_ci, monkeypatch):
    run(outside_ci, monkeypatch)

    assert "2026-01-02" in lines(outside_ci)["dear"]


def test_a_name_that_is_no_check_is_refused_before_anything_runs(outside_ci, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(outside_ci, monkeypatch, "good", "goood")

    assert "there is no check goood; there are good, bad, long, dear" in capsys.readouterr().err
    assert "good" not in lines(outside_ci)


def test_the_page_has_a_line_and_a_small_version_of_every_check(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "deploy")
    import outside_ci

    page = (ROOT / "docs/outside-ci.md").read_text()

    small = re.findall(r"^\| (\w+) \| `(tests/\S+)`", page.partition(outside_ci.HEAD)[0], re.MULTILINE)

    assert [name for name, _ in small] == list(outside_ci.CHECKS) == list(lines(outside_ci))
    assert [path for _, path in small if not (ROOT / path).exists()] == []
