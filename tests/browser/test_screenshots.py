"""`make screenshots`, with one look of a small bundle."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("welcome", "explore", "audits", "comparison", "report", "models")


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium (Debian package chromium) is not installed")
def test_every_page_and_a_report_has_its_picture(a_shop, tmp_path):
    folder = a_shop({"version": "1"})
    command = [sys.executable, "deploy/screenshots.py", "--bundle", str(folder), "--out", str(tmp_path)]

    done = subprocess.run(
        [*command, "--looks", "phone"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted(f"{page}-phone.png" for page in PAGES)
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in tmp_path.glob("*.png"))
