"""When a stage of a request began and ended."""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """One stage of a list, or of the batch that it was made in."""

    name: str
    began: float
    """`monotonic` seconds, as ``ended``."""
    ended: float
