"""Processes side by side: the results of one, in order, and nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from measure.audit.workers import Workers
from measure.errors import WorkerDiedError

LEFT_ALONE = """
import os, sys, time
from measure.audit.workers import Workers

def note(folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    time.sleep(60)

if __name__ == "__main__":
    with Workers(2) as pool:
        pool.run(note, [sys.argv[1]] * 2)
"""


def square(number: int) -> int:
    return number * number


def end_myself(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order_and_every_one_is_a_step(count):
    steps: list[None] = []

    with Workers(count) as pool:
        assert pool.run(square, range(20), lambda: steps.append(None)) == [number * number for number in range(20)]
    assert len(steps) == 20


def test_a_worker_that_is_killed_is_told_of():
    with pytest.raises(WorkerDiedError, match="fewer workers"), Workers(2) as pool:
        pool.run(end_myself, range(3))


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path):
    script = tmp_path / "left_alone.py"
    script.write_text(LEFT_ALONE)
    notes = tmp_path / "notes"
    notes.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(notes)])
    until(lambda: len(list(notes.iterdir())) == 2, 60)

    parent.kill()
    parent.wait()

    until(lambda: not any(runs(int(note.name)) for note in notes.iterdir()), 60)


def runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def until(condition, within_s: float) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.05)
