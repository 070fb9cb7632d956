"""A configuration as the TOML that one writes by hand."""

import json
from collections.abc import Mapping
from typing import Any


def toml_table(name: str, fields: Mapping[str, Any]) -> str:
    """Write a table and the tables in it; what is None is left out."""
    plain = {key: value for key, value in fields.items() if value is not None and not isinstance(value, Mapping)}
    inner = {key: value for key, value in fields.items() if isinstance(value, Mapping)}
    short = {
        key: value
        for key, value in inner.items()
        if not value or name.endswith((".attributes", ".modalities")) or key == "csv"
    }
    lines = [f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in (plain | short).items())]
    tables = [toml_table(f"{name}.{_key(key)}", value) for key, value in inner.items() if key not in short]
    return "\n\n".join(["\n".join(lines), *tables])


def toml_file(fields: Mapping[str, Any]) -> str:
    """Write a whole file: keys first, then a table for each mapping; what is None is left out."""
    plain = [
        f"{_key(key)} = {_value(value)}"
        for key, value in fields.items()
        if not isinstance(value, Mapping) and value is not None
    ]
    tables = [toml_table(key, value) for key, value in fields.items() if isinstance(value, Mapping)]
    return "\n\n".join(["\n".join(plain), *tables]) + "\n"


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else _text(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case int() | float():
            return repr(value)
        case Mapping():
            inside = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items() if one is not None)
            return f"{{ {inside} }}" if inside else "{}"
        case _:
            return f"[{', '.join(map(_value, value))}]"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
