"""JSON answers of the routes."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from fastapi import Response
from pydantic_core import to_json

CONTENT_TYPE = (b"content-type", b"application/json")


def json_response(page: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page as JSON. NaN and infinity are not JSON: pages hold `finite_or_none` of such numbers."""
    return _Json(to_json(page), status, headers)


class _Json(Response):
    """As its base class, which would ask the type of the body how to encode it and whether it has a charset."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Length, type, and the headers given."""
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), CONTENT_TYPE]
        if headers:
            self.raw_headers += [
                (name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()
            ]


def finite_or_none(value: float) -> float | None:
    """None for NaN and infinity, which say that nothing was measured."""
    return value if isfinite(value) else None
