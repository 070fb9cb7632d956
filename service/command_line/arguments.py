"""What the options of all commands have in common: a parser that takes each once, and values of several of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any


class Parser(argparse.ArgumentParser):
    """Refuses an option that is given twice, as a request's parameters are; argparse would take the last one.

    Options with an action of their own (`append`, switches) may be repeated.
    """

    def __init__(self, **options: Any) -> None:
        """Take what argparse's own takes."""
        super().__init__(**options)
        self.register("action", None, _Once)


class _Once(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        given: set[str] = vars(namespace).setdefault("given_once", set())
        if option is not None and self.dest in given:
            parser.error(f"argument {option}: given more than once")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


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
