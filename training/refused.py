"""What pydantic refuses of a configuration, as people read it: the key as the file has it, and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from inspect import isclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bundle import said
from training.errors import ConfigError

_OF_A_KEY = "[key]"
"""Pydantic's last step where the key of a table is refused, and no value."""
_SHAPES = {
    "model_type": "is no table",
    "model_attributes_type": "is no table",
    "dict_type": "is no table",
    "tuple_type": "is no list",
    "list_type": "is no list",
}
"""What a value is not, in TOML's words, where pydantic has Python's."""


def refusal(model: type[BaseModel], error: ValidationError, whole: str) -> ConfigError:
    """The first key that is not known, or else the first thing that was refused.

    A misspelt key comes first, because what it should have been called may be missing for it.

    Args:
        model: what was read.
        error: pydantic's.
        whole: how to call the configuration where no key alone is at fault.
    """
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    kind, facts = first["type"], first.get("ctx", {})
    unknown = kind == "extra_forbidden"
    *before, last = first["loc"] or [""]
    keys, tables = _place(model, before if unknown else first["loc"])
    if unknown:
        known = ", ".join(dict.fromkeys(name for table in tables for name in table.model_fields))
        return ConfigError(".".join([*keys, str(last)]), "is not known", value=first["input"], allowed=known)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key = ".".join([*keys, str(facts["discriminator"]).strip("'_()")])
        tags = str(facts.get("expected_tags", "")).replace("'", "") or None
        missing = kind == "union_tag_not_found"
        return ConfigError(key, "is missing" if missing else "is not known", value=facts.get("tag"), allowed=tags)
    key = ".".join(keys) or whole
    if kind == "missing":
        return ConfigError(key, "is missing")
    if kind in _SHAPES:
        known = ", ".join(dict.fromkeys(name for table in tables for name in table.model_fields))
        allowed = f"a table of {known}" if known else "a table" if "table" in _SHAPES[kind] else "a list"
        return ConfigError(key, _SHAPES[kind], value=first["input"], allowed=allowed)
    told = kind == "value_error" and (last == _OF_A_KEY or isinstance(first["input"], Mapping))
    return ConfigError(key, said(first), value=None if told else first["input"])


def refuse_infinite(raw: object, key: str = "") -> None:
    """Refuse a number that is infinite or none: TOML has `inf` and `nan`, and no option means either.

    Raises:
        ConfigError: it names the key.
    """
    if isinstance(raw, float) and not math.isfinite(raw):
        raise ConfigError(key, "is no finite number", value=raw, allowed="a finite number")
    for name, value in _items(raw):
        refuse_infinite(value, f"{key}.{name}".lstrip("."))


def refuse_truth(raw: object, read: object, key: str = "") -> None:
    """Refuse `true` and `false` where a number is read: they would count as 1 and 0.

    Args:
        raw: what stands in the file.
        read: what became of it.
        key: where that is.

    Raises:
        ConfigError: it names the key.
    """
    if isinstance(raw, bool) and isinstance(read, int | float) and not isinstance(read, bool):
        raise ConfigError(key, "is no number", value=raw, allowed="a number")
    there = dict(_items(dict(read) if isinstance(read, BaseModel) else read))
    for name, value in _items(raw):
        refuse_truth(value, there.get(name), f"{key}.{name}".lstrip("."))


def _items(whole: object) -> Iterator[tuple[object, object]]:
    if isinstance(whole, Mapping):
        yield from whole.items()
    elif isinstance(whole, list | tuple):
        yield from enumerate(whole)


def _place(model: type[BaseModel], loc: Sequence[int | str]) -> tuple[list[str], list[type[BaseModel]]]:
    """Keys of a place, and the tables that may stand there.

    Where several tables may stand, pydantic's steps also say which one it took, which no file has as a key.
    """
    keys: list[str] = []
    here: list[Any] = [model]
    for step in loc:
        kinds = [kind for each in here for kind in _kinds(each)]
        tables = _tables(kinds)
        if having := [table for table in tables if step in table.model_fields]:
            keys.append(str(step))
            here = [table.model_fields[str(step)].annotation for table in having]
        elif taken := [table for table in tables if step in _defaults(table)]:
            here = taken
        elif step != _OF_A_KEY:
            keys.append(str(step))
            here = [part for kind in kinds if get_origin(kind) is not None for part in get_args(kind)]
    return keys, _tables([kind for each in here for kind in _kinds(each)])


def _kinds(annotation: Any) -> Iterator[Any]:
    """What a union, annotated or not, is a union of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for one in get_args(annotation):
            yield from _kinds(one)
    else:
        yield annotation


def _tables(kinds: Sequence[Any]) -> list[type[BaseModel]]:
    return [kind for kind in kinds if isclass(kind) and get_origin(kind) is None and issubclass(kind, BaseModel)]


def _defaults(table: type[BaseModel]) -> list[object]:
    return [field.default for field in table.model_fields.values()]
