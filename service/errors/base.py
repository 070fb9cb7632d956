"""The root of the tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def first_line(error: Exception) -> str:
    """What a library's error says, in short."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def said(problem: Mapping[str, Any]) -> str:
    """The message of one of pydantic's errors, as people read it: without the kind of exception that a check raised."""
    message: str = problem["msg"]
    return message.removeprefix("Value error, ")


class ServiceError(Exception):
    """A refusal with an HTTP status and a stable machine-readable code."""

    status = 500
    code = "internal_error"

    @property
    def facts(self) -> dict[str, Any]:
        """Fields of this error that a client may use."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that go with it."""
        return {}
