"""JSON answers of the routes."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from fastapi import Response
from pydantic_core import to_json


def json_response(page: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A page as JSON. NaN and infinity are not JSON: pages hold `finite_or_none` of such numbers."""
    return Response(to_json(page), status, headers, "application/json")


def finite_or_none(value: float) -> float | None:
    """None for NaN and infinity, which say that nothing was measured."""
    return value if isfinite(value) else None
