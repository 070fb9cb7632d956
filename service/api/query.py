"""Query strings → frozen queries. Nothing unknown, repeated or out of bounds passes: `sensitve=gender` is refused.

FastAPI's own parsing keeps the last of repeated parameters and costs more than the rest of a route, so the string is
read here, once; the published schema is made from the same models.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar
from urllib.parse import unquote_plus

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.errors import InvalidQueryError, QueryTooLongError, said

MAX_QUERY_BYTES = 32_768
MAX_PARAMETERS = 1_000
MAX_ERRORS = 20
"""Errors listed in one problem."""
MAX_ECHO = 100
"""Characters of a wrong value that are sent back."""
WORDS = frozenset({"title", "description", "examples", "anyOf"})
"""Members of a field's JSON schema that do not limit its values; `anyOf` is looked into."""

Id = Annotated[str, Field(min_length=1, max_length=256)]
Name = Annotated[str, Field(min_length=1, max_length=64)]


def _split(text: str | None) -> list[str] | None:
    """``"a,b"`` → ``["a", "b"]``, ``""`` → ``[]``; an empty element stays and is refused by its length."""
    return text if text is None else text.split(",") if text else []


COMMA_SEPARATED = BeforeValidator(_split)


Count = Annotated[int, Field(ge=1, le=1000, description="How many items; fewer come only where fewer are left.")]


class Parameters(BaseModel):
    """The query parameters of one route."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoParameters(Parameters):
    """For routes that take none."""


Asked = TypeVar("Asked", bound=Parameters)


def parse(model: type[Asked], query_string: bytes) -> Asked:
    """Read a query string as the route's parameters.

    Raises:
        QueryTooLongError: longer than `MAX_QUERY_BYTES`.
        InvalidQueryError: lists every field that is wrong, its value, and what is allowed.
    """
    if len(query_string) > MAX_QUERY_BYTES:
        raise QueryTooLongError(len(query_string), MAX_QUERY_BYTES)
    parts = query_string.decode(errors="replace").split("&")
    if len(parts) > MAX_PARAMETERS:
        raise InvalidQueryError([_error("query", None, "too many parameters", MAX_PARAMETERS)])
    values: dict[str, str] = {}
    repeated = []
    for part in parts:
        if not part:
            continue
        name, _, value = part.partition("=")
        if "%" in part or "+" in part:
            name, value = unquote_plus(name), unquote_plus(value)
        if name not in values:
            values[name] = value
        elif _is_list(model, name):
            values[name] += f",{value}"
        else:
            repeated.append(_error(name, value, "given more than once", "once"))
    try:
        query = model.model_validate(values)
    except ValidationError as error:
        first = {str(problem["loc"][0]): dict(problem) for problem in reversed(error.errors(include_url=False))}
        wrong = [_explain(model, name, problem, values) for name, problem in reversed(first.items())]
        raise InvalidQueryError((repeated + wrong)[:MAX_ERRORS]) from None
    if repeated:
        raise InvalidQueryError(repeated[:MAX_ERRORS])
    return query


def check_length(k: int, allowed: int) -> None:
    """Refuse a list that would be longer than the operator allows.

    Raises:
        InvalidQueryError: it would.
    """
    if k > allowed:
        raise InvalidQueryError([_error("k", str(k), f"this service gives at most {allowed} items", allowed)])


def openapi_parameters(model: type[Parameters]) -> list[dict[str, Any]]:
    """The parameters as OpenAPI describes them."""
    schema = _schema(model)
    listed = []
    for name, value in schema["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in schema.get("required", ())}
        parameter["description"] = value["description"]
        if "examples" in value:
            parameter["example"] = value["examples"][0]
        if _is_list(model, name):
            parameter |= {"style": "form", "explode": False}
        listed.append(parameter | {"schema": _allowed(value)})
    return listed


@cache
def _schema(model: type[Parameters]) -> dict[str, Any]:
    return model.model_json_schema()


def _is_list(model: type[Parameters], name: str) -> bool:
    return name in model.model_fields and COMMA_SEPARATED in model.model_fields[name].metadata


def _allowed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A field's JSON schema without its words and without null, which a query string cannot say."""
    kept = {key: value for key, value in schema.items() if key not in WORDS}
    for choice in schema.get("anyOf", ()):
        if choice != {"type": "null"}:
            kept = {key: value for key, value in kept.items() if value is not None} | choice
    return kept


def _explain(
    model: type[Parameters], name: str, problem: Mapping[str, Any], values: Mapping[str, str]
) -> dict[str, Any]:
    if problem["type"] == "extra_forbidden":
        return _error(name, values[name], "unknown parameter", list(model.model_fields))
    reason = f"element {problem['loc'][-1] + 1}: {said(problem)}" if len(problem["loc"]) > 1 else said(problem)
    allowed = _allowed(_schema(model)["properties"][name])
    return _error(name, values.get(name), reason, allowed)


def _error(field: str, value: str | None, reason: str, allowed: object) -> dict[str, Any]:
    short = value if value is None or len(value) <= MAX_ECHO else value[:MAX_ECHO] + "…"
    return {"field": field[:MAX_ECHO], "value": short, "reason": reason, "allowed": allowed}
