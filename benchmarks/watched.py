"""A command with its time, its processors' time, and the memory of all its processes together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from loopback import plain_environment

LOOK_S = 0.5
STAGE = re.compile(r"^stage (\w+): ([\d.]+) s, ([\d.]+) s of processors", re.MULTILINE)
"""As `training run` logs one that has ended."""


class Watched(NamedTuple):
    """What a command took, and what it printed."""

    took: dict[str, float]
    """``wall_s``, ``processor_s``, ``peak_mib``."""
    stages: list[dict[str, Any]]
    """The same of each stage that it told of, in order."""
    printed: str


def watched(arguments: Sequence[str], threads: int, accepted: Sequence[int] = (0,)) -> Watched:
    """Run one of our modules to its end; another exit status than the accepted ones ends the benchmark.

    Memory is the proportional size of every process of the command, looked at twice a second: pages that several have
    in common, and pages of files that it has mapped, count once.
    """
    began, stages, peak, whole = time.monotonic(), [], 0.0, 0.0
    environment = plain_environment() | {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile("w+") as out, tempfile.NamedTemporaryFile("w+") as told:
        command = [sys.executable, "-m", *arguments]
        process = subprocess.Popen(command, stdout=out, stderr=told, env=environment, start_new_session=True)
        ended, status, used = 0, 0, None
        while not ended:
            time.sleep(LOOK_S)
            peak = max(peak, _session_mib(process.pid))
            whole = max(whole, peak)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            found = STAGE.findall(Path(told.name).read_text())
            for name, wall_s, processor_s in found[len(stages) :]:
                took = {"wall_s": float(wall_s), "processor_s": float(processor_s), "peak_mib": peak}
                stages.append({"stage": name, **took})
                print(f"  {name}: {took}", flush=True)
                peak = 0.0
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        printed = out.read()
        if process.returncode not in accepted:
            sys.exit(f"{' '.join(arguments)} ended with {process.returncode}:\n{Path(told.name).read_text()[-2000:]}")
    took = {"wall_s": time.monotonic() - began, "processor_s": used.ru_utime + used.ru_stime, "peak_mib": whole}
    return Watched(took, stages, printed)


def _session_mib(leader: int) -> float:
    """Of all processes that a command has started, itself among them."""
    total = 0.0
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.getsid(int(folder.name)) == leader:
                match = re.search(r"^Pss:\s+(\d+)", (folder / "smaps_rollup").read_text(), re.MULTILINE)
                total += int(match[1]) / 1024 if match else 0.0
    return total
