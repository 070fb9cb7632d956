"""Request bodies → frozen values. As with query strings, nothing unknown, repeated or out of bounds passes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn, TypeVar

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from service.errors import InvalidBodyError, MediaTypeError, said

MAX_ERRORS = 20
"""Errors listed in one problem."""
MAX_ECHO = 100
"""Characters of a name or a wrong value that are sent back."""

OBJECT, OBJECT_TYPES = "Input should be an object", frozenset({"model_type", "model_attributes_type", "dataclass_type"})
"""Instead of what pydantic says, which names a class of ours."""

Value = TypeVar("Value")


async def read_body(
    request: Request, wanted: TypeAdapter[Value], *, absent: Value | None = None
) -> tuple[Value, bytes]:
    """The body as a value, and as it came; ``absent``: what no body stands for, where there need be none.

    Raises:
        MediaTypeError: it does not say that it is JSON, or is compressed. A web page cannot say
            that it is JSON to another origin without asking.
        BodyTooLargeError: longer than the operator allows.
        InvalidBodyError: lists every field that is wrong.
    """
    if absent is not None and not await _raw(request):
        return absent, b""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise MediaTypeError
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise MediaTypeError(encoding)
    raw = await _raw(request)
    return parse(wanted, raw), raw


async def _raw(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:  # nobody reads the answer
        raise InvalidBodyError([_error("body", None, "ended before its end")]) from None


def parse(wanted: TypeAdapter[Value], raw: bytes) -> Value:
    """Read JSON as a value.

    Raises:
        InvalidBodyError: lists every field that is wrong.
    """
    try:
        json.loads(raw, object_pairs_hook=_without_repetition, parse_constant=_refuse)
        return wanted.validate_json(raw, strict=True)
    except _RepeatedError as error:
        raise InvalidBodyError([_error(error.name, None, "given more than once")]) from None
    except ValidationError as error:
        raise refusal(error) from None
    except (ValueError, RecursionError):
        raise InvalidBodyError([_error("body", None, "not JSON (RFC 8259), or nested too deeply")]) from None


def refusal(error: ValidationError) -> InvalidBodyError:
    """The fault of a value, as a client reads it."""
    found = error.errors(include_url=False, include_context=False)
    return InvalidBodyError([_explain(dict(problem)) for problem in found[:MAX_ERRORS]])


def openapi_body(wanted: TypeAdapter[Any], *, required: bool = True) -> dict[str, Any]:
    """The body as OpenAPI describes it."""
    schema = wanted.json_schema()
    return {
        "required": required,
        "content": {"application/json": {"schema": _inlined(schema, schema.pop("$defs", {}))}},
    }


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with every reference replaced by its target."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items()}


class _RepeatedError(Exception):
    def __init__(self, name: str) -> None:
        self.name = name


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, value in pairs:
        if name in read:
            raise _RepeatedError(name)
        read[name] = value
    return read


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _explain(problem: Mapping[str, Any]) -> dict[str, Any]:
    found = problem["input"]
    reason = OBJECT if problem["type"] in OBJECT_TYPES else said(problem)
    *outer, last = problem["loc"] or ("",)
    own = problem["type"] == "extra_forbidden"  # a name that the client chose, whatever it looks like
    parts = [*filter(_is_field, outer), *([last] if own or _is_field(last) else [])]
    place = ".".join(map(str, parts)) or "body"
    return _error(place, found if isinstance(found, str | int | float | bool) else None, reason)


def _is_field(part: int | str) -> bool:
    """Whether a part of a place is one of the body: pydantic names the branches of a union too, by our classes."""
    return isinstance(part, int) or re.fullmatch("[a-z][a-z0-9_-]*", part) is not None


def _error(field: str, value: object, reason: str) -> dict[str, Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)[:MAX_ECHO] if abs(value) < 10**MAX_ECHO else None
    if isinstance(value, float) and not isfinite(value):  # 1e400, which the answer cannot say in JSON
        value = None
    if isinstance(value, str) and len(value) > MAX_ECHO:
        value = value[:MAX_ECHO] + "…"
    return {"field": field[:MAX_ECHO], "value": value, "reason": reason[:300]}
