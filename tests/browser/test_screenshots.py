"""`make screenshots`, with one look of a small bundle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("preloaded")
AUDIT = '{"profile": "quick", "masks": [["gender"]], "metrics": ["accuracy", "leakage"]}'
PAGES = ("welcome", "explore", "audits", "comparison", "report", "models")
WITHIN_S = 560
"""Audits give way to everything else that a machine does."""


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium (Debian package chromium) is not installed")
def test_every_page_and_a_report_has_its_picture(a_shop, tmp_path):
    folder = a_shop({"version": "1", "attributes": ("gender",)})
    command = [sys.executable, "deploy/screenshots.py", "--bundle", str(folder), "--out", str(tmp_path / "pictures")]

    with (tmp_path / "said").open("w") as said:
        pictures = subprocess.Popen(
            [*command, "--looks", "phone", "--audit", AUDIT], cwd=ROOT, stdout=said, stderr=said, start_new_session=True
        )
        try:
            status = pictures.wait(WITHIN_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(pictures.pid, signal.SIGKILL)  # and the service that it started

    assert status == 0, (tmp_path / "said").read_text()[-4000:]
    found = list((tmp_path / "pictures").glob("*.png"))
    assert sorted(path.name for path in found) == sorted(f"{page}-phone.png" for page in PAGES)
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in found)
