"""What is told of a request that was answered, and when its stages began and ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Stage(NamedTuple):
    """One stage of a list, or of the batch that it was made in."""

    name: str
    began: float
    """`monotonic` seconds, as ``ended``."""
    ended: float


class Answered(NamedTuple):
    """A request that was answered."""

    method: str
    route: str | None
    """The template; None for a path that no route has."""
    status: int
    began: float
    """`monotonic` seconds, as ``ended``."""
    ended: float
    refused: str | None
    """Code of the problem."""
    facts: Mapping[str, str | int | bool]
    """What else its span says."""
