"""A cached answer as bytes: a small layout with a version. Reading it runs no code and checks every length."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

VERSION = 1
_HEADER = struct.Struct("<BBI")
"""Version, 1 where scores follow the rows, number of rows."""


class CachedAnswer(NamedTuple):
    """The items of a list, best first. Arrays from a cache are read-only."""

    rows: NDArray[np.int32]
    """(n,) item rows."""
    scores: NDArray[np.float64] | None = None
    """(n,) rounded scores, if the service shows any; else None, because scores reveal the fair vector."""


def pack(answer: CachedAnswer) -> bytes:
    """Header, rows as int32, scores as float64; little-endian."""
    rows = answer.rows.astype("<i4").tobytes()
    if answer.scores is None:
        return _HEADER.pack(VERSION, 0, len(answer.rows)) + rows
    return _HEADER.pack(VERSION, 1, len(answer.rows)) + rows + answer.scores.astype("<f8").tobytes()


def unpack(body: bytes) -> CachedAnswer | None:
    """The answer; None where the bytes are not an answer of this version."""
    if len(body) < _HEADER.size:
        return None
    version, scored, count = _HEADER.unpack_from(body)
    if version != VERSION or scored not in (0, 1) or len(body) != _HEADER.size + count * (12 if scored else 4):
        return None
    rows = np.frombuffer(body, "<i4", count, _HEADER.size)
    return CachedAnswer(rows, np.frombuffer(body, "<f8", count, _HEADER.size + rows.nbytes) if scored else None)
