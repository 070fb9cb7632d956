"""What can go wrong.

EvenhandError
├── Problem            the service refused; `code` is stable
└── UnreachableError   there was no answer, or none that an Evenhand service gives
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COMMON = frozenset({"type", "title", "status", "detail", "code", "request_id"})


class EvenhandError(Exception):
    """Base of both."""


class Problem(EvenhandError):  # noqa: N818  RFC 9457 calls it so
    """A refusal (RFC 9457)."""

    def __init__(self, members: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        super().__init__(f"{members['code']}: {members['detail']}")
        self.status: int = members["status"]
        self.code: str = members["code"]
        """Stable; what a program decides by."""
        self.detail: str = members["detail"]
        """For people."""
        self.request_id: str = members["request_id"]
        """What the service's operator finds it by."""
        self.facts: Mapping[str, Any] = {name: value for name, value in members.items() if name not in COMMON}
        """What was asked and what is allowed, by the problem's code: `field`, `value`, `allowed`, `errors` …"""
        self.retry_after_s = retry_after_s
        """When the service expects to answer again, in seconds; None where it does not say."""


class UnreachableError(EvenhandError):
    """There was no answer, or none that an Evenhand service gives."""
