"""Values that options of several commands take."""

from __future__ import annotations

from collections.abc import Iterable


def positive(text: str) -> int:
    """Read a number from 1 on, as argparse wants it."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def names(given: Iterable[str]) -> tuple[str, ...]:
    """Names of a repeatable option, each time comma-separated; nothing is left out silently."""
    return tuple(name for text in given if text for name in text.split(","))


def share(text: str) -> float:
    """Read a number from 0 to 1, as argparse wants it."""
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError
    return number


def amount(text: str) -> float:
    """Read a finite number from 0 on, as argparse wants it."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number
