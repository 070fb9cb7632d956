"""Run by the tests: imports the service once, then forks one for each line on standard input and prints its pid.

Importing torch takes seconds, and a test that kills a service twenty times starts it twenty times.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import service.serve  # noqa: F401
from service.__main__ import main


def _live(wanted: dict[str, Any]) -> None:
    """Become `python -m service` with these arguments; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(wanted["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(wanted["settings"])
    status: int | str | None = 1
    try:
        status = main(wanted["arguments"])
    except SystemExit as end:
        status = end.code
    finally:
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1 if status else 0)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits here: the kernel forgets who has ended
for line in sys.stdin:
    if (pid := os.fork()) == 0:
        _live(json.loads(line))
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
