"""A cached answer as bytes: a small layout with a version. Reading it runs no code and checks every length."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.balance import Divergence

VERSION = 2
_HEADER = struct.Struct("<BBI")
"""Version, `SCORED` and `BALANCED` where these follow the rows, number of rows."""
SCORED, BALANCED = 1, 2
_DIVERGENCE = struct.Struct("<dd")


class CachedAnswer(NamedTuple):
    """The items of a list, best first. Arrays from a cache are read-only."""

    rows: NDArray[np.int32]
    """(n,) item rows."""
    scores: NDArray[np.float64] | None = None
    """(n,) rounded scores, if the service shows any; else None, because scores reveal the fair vector."""
    divergence: Divergence | None = None
    """Of a balanced list."""


def pack(answer: CachedAnswer) -> bytes:
    """Header, rows as int32, scores as float64, both divergences as float64; little-endian."""
    kind = SCORED * (answer.scores is not None) + BALANCED * (answer.divergence is not None)
    body = _HEADER.pack(VERSION, kind, len(answer.rows)) + answer.rows.astype("<i4").tobytes()
    if answer.scores is not None:
        body += answer.scores.astype("<f8").tobytes()
    return body if answer.divergence is None else body + _DIVERGENCE.pack(*answer.divergence)


def unpack(body: bytes) -> CachedAnswer | None:
    """The answer; None where the bytes are not an answer of this version."""
    if len(body) < _HEADER.size:
        return None
    version, kind, count = _HEADER.unpack_from(body)
    if version != VERSION or kind > SCORED + BALANCED:
        return None
    scores_at = _HEADER.size + 4 * count
    end = scores_at + 8 * count * bool(kind & SCORED)
    if len(body) != end + _DIVERGENCE.size * bool(kind & BALANCED):
        return None
    rows = np.frombuffer(body, "<i4", count, _HEADER.size)
    scores = np.frombuffer(body, "<f8", count, scores_at) if kind & SCORED else None
    divergence = Divergence(*_DIVERGENCE.unpack_from(body, end)) if kind & BALANCED else None
    return CachedAnswer(rows, scores, divergence)
