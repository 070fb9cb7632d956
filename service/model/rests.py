"""An activation gives way: the thread that loads rests between pieces of its work, and leaves a processor to requests.

A low priority would not do: pushed off its core while it holds the interpreter, the thread would stop all requests. One
that sleeps holds nothing.
"""

from __future__ import annotations

import time

PARTS = 3.0
"""Rest for each second of a processor before it. So a quarter of a core is taken, and what takes 40 ms of a processor
is done after 160."""
LEAST_S = 1e-3
"""Of a processor: less work than this goes on without a rest."""
MOST_S = 0.1
"""Longest rest, after a piece that could not be divided: building an index of a large catalogue, say."""


class Rests:
    """What is called between the pieces, by the thread that does the work."""

    def __init__(self) -> None:
        """The work begins now."""
        self.together_s = 0.0
        """All rests so far."""
        self._since_s = time.thread_time()

    def __call__(self) -> None:
        """Rest in proportion to what was done since the last rest."""
        worked_s = time.thread_time() - self._since_s
        if worked_s >= LEAST_S:
            rest_s = min(PARTS * worked_s, MOST_S)
            time.sleep(rest_s)
            self.together_s += rest_s
            self._since_s = time.thread_time()
