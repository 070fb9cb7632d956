"""Ids in paths. They are any text, so a slash in one is part of it (``%2F``) and does not end it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Annotated, Any
from urllib.parse import unquote

from annotated_types import MaxLen
from fastapi import Request
from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationError

from service.errors import InvalidQueryError, said


def _addressable(text: str) -> str:
    """Refuse ``.`` and ``..``, which clients resolve before they send a path: such a user could not be erased."""
    if text in (".", ".."):
        raise ValueError("an id cannot be '.' or '..'")
    return text


StoredId = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$"),
    MaxLen(256),
    Field(min_length=1),
    AfterValidator(_addressable),
]
"""An id that may be stored; a bundle's ids hold no control characters either."""

_ID = TypeAdapter(StoredId)
_AS_SENT = "evenhand.path_as_sent"
EXAMPLES = {"user": "42", "item": "50", "version": "2026-01-31", "id": "2f6d1c0a9b3e4d57"}


def keep_slashes(scope: MutableMapping[str, Any]) -> None:
    """Match the path as it was sent, with encoded slashes; `path_id` decodes the id."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw or b"%2F" in raw:
        scope["path"] = raw.decode("ascii", "replace")
        scope[_AS_SENT] = True


def path_id(request: Request, name: str) -> str:
    """An id out of the path.

    Raises:
        InvalidQueryError: it cannot be one.
    """
    text: str = request.path_params[name]
    if _AS_SENT in request.scope:
        text = unquote(text)
    try:
        return _ID.validate_python(text)
    except ValidationError as error:
        reason = said(error.errors(include_url=False)[0])
        raise InvalidQueryError([{"field": name, "value": text[:100], "reason": reason, "allowed": None}]) from None


def openapi_path(**names: str) -> list[dict[str, Any]]:
    """Path parameters as OpenAPI describes them: name → description."""
    schema = _ID.json_schema()
    return [
        {"name": name, "in": "path", "required": True, "description": text, "example": EXAMPLES[name], "schema": schema}
        for name, text in names.items()
    ]
