"""The reader of an audit's progress: where it goes, killed perhaps, the audit ends at once and not at its next line."""

from __future__ import annotations

import multiprocessing
import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ABANDONED = 3
"""Exit status after the reader of the progress lines has gone. A refusal has 2."""
STANDARD_OUTPUT = 1


@contextmanager
def only_while_read() -> Iterator[None]:
    """End this process and its workers, without more ado, when the pipe that is its standard output has no reader.

    What it writes appears whole or not at all, as after any kill.
    """
    over, done = os.pipe()
    watch = threading.Thread(target=_watch, args=(over,), name="reader", daemon=True)
    watch.start()
    try:
        yield
    finally:
        os.close(done)
        watch.join()
        os.close(over)


def _watch(over: int) -> None:
    """Wait for the reader's end, or for that of the block."""
    poll = select.poll()
    for each in (STANDARD_OUTPUT, over):
        poll.register(each, 0)  # for errors and hang-ups, which come unasked
    if over not in {each for each, _ in poll.poll()}:
        for worker in multiprocessing.active_children():  # those that have begun end by themselves, others import first
            worker.kill()
        os._exit(ABANDONED)
