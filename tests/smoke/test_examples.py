"""The scripts in examples/, as a newcomer runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def python(*words):
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_serve_and_ask_prints_two_lists_of_five(demo):
    printed = python("examples/serve_and_ask.py", str(demo[-1]))

    assert re.findall(r"protected: (.*)", printed) == ["nothing", "age, gender, occupation"]
    assert len(re.findall(r"^  \d\. ", printed, re.MULTILINE)) == 10


def test_a_model_of_implicit_is_protected_and_served(tmp_path):
    python("-m", "training", "data", "generate", str(tmp_path), "--users", "300", "--items", "120")

    printed = python("examples/protect_implicit.py", str(tmp_path))

    assert re.findall(r"protected: (.*)", printed)[-2:] == ["nothing", "age, gender, occupation"]
    assert len(re.findall(r"^  \d\. ", printed, re.MULTILINE)) == 10
    assert len([line for line in (ROOT / "examples/protect_implicit.py").read_text().splitlines() if line]) < 30


def test_audit_and_read_says_why_a_quick_look_is_not_judged(demo):
    printed = python("examples/audit_and_read.py", str(demo[-1]))

    assert "verdict: not_judged (exit status 4)" in printed
    assert "not judged: everything, because the quick profile is a look" in printed
    assert re.findall(r"^  (\w+): AUC 0\.\d+ by \w+, unprotected 0\.\d+$", printed, re.MULTILINE) == [
        "gender",
        "age",
        "occupation",
    ]
