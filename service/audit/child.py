"""One audit as a process of its own: the first to be ended where memory is short.

Unless the operator says otherwise it is the last to be given a processor. It gets what it needs to find Python and the
bundle, and no setting of the service: no secret, no database. Whatever it has started ends with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from service.settings import AuditPriority

KEPT = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"})
KEPT_PREFIXES = ("LC_", "PYTHON")
"""Variables that it is given, besides the number of its threads."""
CODE = Path(__file__).resolve().parents[2]
"""Where `python -m service` finds this code, wherever the service was started from."""
NICEST = 19
GRACE_S = 2.0
"""Between asking a group of processes to end and ending it."""
LOOK_S = 0.05
TAIL_BYTES = 8192
LINE_CHARACTERS = 500


class Child:
    """`python -m service audit … --progress`, its folder and all processes that it starts."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        """Take a process that leads its own group, and where it writes; use `start`."""
        self._process = process
        self._folder = folder
        self._unread = b""
        self._progress: tuple[str, float] | None = None

    @classmethod
    def start(cls, arguments: Sequence[str], priority: AuditPriority) -> Child:
        """Begin; blocks for some milliseconds.

        Args:
            arguments: of the command, without ``--out`` and ``--progress``.
            priority: of the process, and of all that it starts.

        Raises:
            OSError: there is no room for its folder, or for another process.
        """
        folder = Path(tempfile.mkdtemp(prefix="evenhand-audit-"))
        command = [sys.executable, "-m", "service", "audit", *arguments, "--out", str(folder), "--progress"]
        try:
            with (folder / "stderr").open("wb") as errors:
                process = subprocess.Popen(  # noqa: S603  our own command, values checked before
                    command,
                    bufsize=0,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=CODE,
                    env=environment(os.environ),
                    process_group=0,  # and no session of its own: Linux shares processors among these first
                )
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        assert process.stdout is not None  # noqa: S101  it is a pipe
        os.set_blocking(process.stdout.fileno(), False)
        if priority == "idle":
            _step_back(process.pid)
        _offer_memory(process.pid)
        return cls(process, folder)

    @property
    def pid(self) -> int:
        """Of the process, and of its group."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended: its exit status, or minus the signal; None while it runs."""
        return self._process.poll()

    def progress(self) -> tuple[str, float] | None:
        """Its last report: the present step and the share done; None where there is none yet."""
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        while piece := self._process.stdout.read(65_536):  # None where there is nothing now, b"" where no more comes
            *lines, self._unread = (self._unread + piece).split(b"\n")
            for line in lines:
                with suppress(ValueError, KeyError, TypeError):
                    told = json.loads(line)
                    self._progress = str(told["doing"])[:LINE_CHARACTERS], min(max(float(told["share"]), 0.0), 1.0)
        return self._progress

    def result(self) -> dict[str, Any] | None:
        """Its result; None where it ended before that. Blocks."""
        file = self._folder / "audit.json"
        return json.loads(file.read_bytes()) if file.is_file() else None

    def last_words(self) -> str:
        """The last line that it wrote to standard error; it may be empty. Blocks."""
        with (self._folder / "stderr").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return "".join(letter if letter.isprintable() else " " for letter in last[:LINE_CHARACTERS])

    async def end(self) -> None:
        """End it and all processes that it has started, and remove its folder."""
        self._signal(signal.SIGTERM)
        for _ in range(round(GRACE_S / LOOK_S)):
            if self._process.poll() is not None and not self._signal(0):
                break
            await asyncio.sleep(LOOK_S)
        self._signal(signal.SIGKILL)
        await asyncio.to_thread(self._clear)

    def _clear(self) -> None:
        self._process.wait()
        assert self._process.stdout is not None  # noqa: S101  it is a pipe
        self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: int) -> bool:
        """Send it to the whole group; whether there still is anybody."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The part of our environment that a child gets."""
    kept = {name: value for name, value in ours.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    return kept | {"OMP_NUM_THREADS": "1"}


def signal_name(number: int) -> str:
    """The name of a signal, for operators."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _step_back(pid: int) -> None:
    """Give everything else the processors first, in every way that this system supports."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, NICEST)
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def _offer_memory(pid: int) -> None:
    """End it before anything else where memory is short."""
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
