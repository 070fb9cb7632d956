"""What each stage of a run took: time by the clock, time of processors, and the most memory at once."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

log = logging.getLogger(__name__)

_PEAK_FROM_HERE = "5"
"""Written to clear_refs, it lets Linux count a process's peak anew (proc(5))."""


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Log what the block took; where it fails, nothing."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_PEAK_FROM_HERE)
    wall, processors = time.monotonic(), _processor_s()
    yield
    took = f"{time.monotonic() - wall:.1f} s, {_processor_s() - processors:.1f} s of processors"
    peak = _peak_mib()
    log.info("stage %s: %s%s", name, took, "" if peak is None else f", at most {peak:,.0f} MiB")


def _processor_s() -> float:
    """Of this process and those of its helpers that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_mib() -> float | None:
    """Resident memory of this process at its peak; None where the system does not tell."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return None
