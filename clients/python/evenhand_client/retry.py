"""When a request is sent again, and after which wait."""

from __future__ import annotations

import random
from dataclasses import dataclass

from evenhand_client.calls import Answer, Call
from evenhand_client.errors import EvenhandError, Problem, UnreachableError

AGAIN = frozenset({429, 503})
"""Refused before anything was done, or (`store_unavailable`) with nobody knowing whether it was."""
FIRST_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class Retries:
    """At most ``count`` times more, each after what Retry-After says, or after a growing wait with jitter."""

    count: int = 2
    longest_wait_s: float = 10.0
    """A service that wants to be left alone for longer gets its wish: the problem is raised."""

    def wait_s(self, call: Call[Answer], error: EvenhandError, attempt: int) -> float | None:
        """How long to wait before sending it again; None: raise the error.

        Args:
            call: what was sent.
            error: what came of it.
            attempt: how often it was sent again already.
        """
        if attempt >= self.count:
            return None
        if isinstance(error, Problem):
            surely_undone = error.status == 429 or error.code in ("queue_full", "stopping")
            if error.status not in AGAIN or not (call.repeatable or surely_undone):
                return None
            wait_s = error.retry_after_s if error.retry_after_s is not None else FIRST_WAIT_S
        elif isinstance(error, UnreachableError) and call.repeatable:
            wait_s = FIRST_WAIT_S * 2**attempt * random.uniform(0.5, 1.5)
        else:
            return None
        return wait_s if wait_s <= self.longest_wait_s else None
