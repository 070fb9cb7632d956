"""From when to when: two parameters of every route that looks at the request log."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from service.api.query import Parameters
from service.api.times import as_text, as_us
from service.errors import InvalidQueryError

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d")
LATEST_US = as_us(datetime(9999, 12, 31, tzinfo=UTC))
"""Times are looked at from 1970 to here: no list was logged at another one, and later ones in UTC have no text."""


def _as_written(value: object) -> object:
    """Pydantic alone takes ``2026`` for 34 minutes after the beginning of 1970."""
    if isinstance(value, str) and not _TIME.match(value):
        raise PydanticCustomError(
            "rfc3339", "must be a time with its offset, like 2026-01-31T12:00:00Z; + is sent as %2B"
        )
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_as_written)]


class Window(Parameters):
    """Some time of the request log."""

    since: Annotated[
        Time | None,
        Field(description="Lists of this time and later; RFC 3339 with offset.", examples=["2026-01-31T00:00:00Z"]),
    ] = None
    until: Annotated[
        Time | None,
        Field(description="Lists of earlier than this time; now where absent.", examples=["2026-12-31T00:00:00Z"]),
    ] = None

    def bounds_us(self) -> tuple[int | None, int | None]:
        """Both ends in microseconds.

        Raises:
            InvalidQueryError: the time ends before it begins.
        """
        ends = (self.since, self.until)
        since, until = (None if time is None else min(max(as_us(time), 0), LATEST_US) for time in ends)
        if since is not None and until is not None and since > until:
            allowed = f"from {as_text(since)} on"
            raise InvalidQueryError(
                [{"field": "until", "value": as_text(until), "reason": "before since", "allowed": allowed}]
            )
        return since, until
