"""Reads plain JSON data as an expected type; data of another type count as absent."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from measure.report.words import clean


def table(value: object) -> Mapping[str, Any]:
    """Give the mapping, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Iterable[object]:
    """Give the members of a list."""
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def tables(value: object) -> list[Mapping[str, Any]]:
    """Give the mappings of a list."""
    return [entry for entry in items(value) if isinstance(entry, Mapping)]


def names(value: object) -> tuple[str, ...]:
    """Give the names of a list."""
    return tuple(clean(name) for name in items(value))


def number(value: object) -> float | None:
    """Give a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def count(value: object) -> int | None:
    """Give a whole number of something."""
    found = number(value)
    return None if found is None else int(found)


def pair(value: object) -> tuple[float, float] | None:
    """Give both ends of an interval."""
    ends = [number(end) for end in items(value)]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return None
    return ends[0], ends[1]
