"""The faults of a bundle.

    BundleError
    ├── BundleNotFoundError     there is no bundle at that path
    ├── BundleExistsError       that version is there already; versions never change
    ├── UnsupportedError        written by a newer schema, or with an encoder this code does not have
    └── DamagedError            a file differs from what the manifest, or the contract, says

Every error keeps the file's name and both values: what was expected and what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class BundleError(Exception):
    """A bundle cannot be written, or is refused."""

    code = "bundle_refused"


class BundleNotFoundError(BundleError):
    """There is no bundle at that path."""

    code = "bundle_not_found"

    def __init__(self, path: Path, expected: str) -> None:
        super().__init__(f"no bundle at {path}: expected {expected}")
        self.path = path
        self.expected = expected


class BundleExistsError(BundleError):
    """A version is written once and never changed."""

    code = "bundle_exists"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists already: a version is never changed; choose another version")
        self.path = path


class UnsupportedError(BundleError):
    """The bundle asks for something that this code does not know."""

    code = "bundle_unsupported"

    def __init__(self, what: str, found: object, known: object) -> None:
        super().__init__(
            f"manifest.json: {what} is {_shown(repr(found))}; this version of Evenhand knows {_shown(known)}"
        )
        self.what = what
        self.found = found
        self.known = known


class DamagedError(BundleError):
    """A file differs from the manifest, or breaks the contract."""

    code = "bundle_damaged"

    def __init__(self, file: str, what: str, expected: object, found: object) -> None:
        super().__init__(f"{_shown(file)}: {_shown(what)} should be {_shown(expected)}, found {_shown(found)}")
        self.file = file
        self.what = what
        self.expected = expected
        self.found = found


def said(problem: Mapping[str, Any]) -> str:
    """The message of one of pydantic's errors, as people read it: without the kind of exception that a check raised."""
    message: str = problem["msg"]
    return message.removeprefix("Value error, ")


def _shown(value: object) -> str:
    """A value as a message shows it: on one line and of bounded length, for any content of a bundle."""
    text = str(value)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 300 else text[:300] + "…"
