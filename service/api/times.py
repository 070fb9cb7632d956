"""Times as clients read and write them: RFC 3339 in UTC, microseconds inside."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_text(time_us: int) -> str:
    """Microseconds since 1970 as ``2026-11-22T18:08:00.000001Z``."""
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def as_us(time: datetime) -> int:
    """An aware time as microseconds since 1970."""
    return (time - _EPOCH) // timedelta(microseconds=1)
