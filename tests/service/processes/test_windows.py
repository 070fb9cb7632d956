"""Windows of rate limits that processes share."""

from __future__ import annotations

import os
import time

import pytest

from service.processes.windows import PLACES, SharedWindows
from service.rate_limits import OwnWindows


@pytest.mark.parametrize("kind", [OwnWindows, SharedWindows])
def test_a_window_counts_until_it_ends_and_then_begins_anew(kind, monkeypatch):
    windows, now = kind(), 100.0
    monkeypatch.setattr(f"{kind.__module__}.monotonic", lambda: now)

    assert windows.count("7", 1, 60) == (1, 60.0)
    now = 110.0
    assert windows.count("7", 3, 60) == (4, 50.0)
    assert windows.count("8", 1, 60) == (1, 60.0)
    now = 160.0
    assert windows.count("7", 1, 60) == (1, 60.0)


def test_processes_count_together_and_lose_nothing():
    windows, processes, times = SharedWindows(), 3, 500
    children = []
    for _ in range(processes):
        if (pid := os.fork()) == 0:
            for _ in range(times):
                windows.count(str(PLACES + 7), 1, 3600)
            os._exit(0)
        children.append(pid)

    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * processes
    assert windows.count("7", 1, 3600)[0] == processes * times + 1


def test_a_process_that_dies_with_a_window_in_its_hands_locks_nobody_out():
    windows = SharedWindows()
    if (pid := os.fork()) == 0:
        with windows._locked(7):
            os._exit(0)
    os.waitpid(pid, 0)

    began = time.monotonic()
    assert windows.count("7", 1, 60)[0] == 1
    assert time.monotonic() - began < 30
