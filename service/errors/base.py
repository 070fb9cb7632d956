"""The root of the tree."""

from __future__ import annotations

from typing import Any


def first_line(error: Exception) -> str:
    """What a library's error says, in short."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


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
