"""Whose lists are made: every user of the bundle, or those that a file names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from service.errors import StartError

ALL = "all"
AT_ONCE = 65_536
"""Ids that are hashed together."""


def read_people(file: Path) -> list[str]:
    """User ids from a text file, one a line, in its order; UTF-8, and nothing but line ends is cut off.

    Raises:
        StartError: it cannot be read, or a line is empty or comes twice; names the line.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StartError(f"--users {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartError(f"--users {file} is not UTF-8: byte {error.start}") from error
    users = text.split("\n")
    if users[-1] == "":
        users.pop()
    line_of: dict[str, int] = {}
    for line, user in enumerate(users, 1):
        users[line - 1] = user = user.removesuffix("\r")
        if not user:
            raise StartError(f"--users {file}, line {line}: no user id")
        if (before := line_of.setdefault(user, line)) != line:
            raise StartError(f"--users {file}, line {line}: user {user!r:.80} is in line {before} already")
    if not users:
        raise StartError(f"--users {file} names nobody")
    return users


def digest(users: Sequence[str]) -> str:
    """Of the ids in their order: two runs with the same one are for the same people."""
    found = hashlib.sha256()
    for start in range(0, len(users), AT_ONCE):
        for user in users[start : start + AT_ONCE]:
            raw = user.encode()
            found.update(b"%d:%b" % (len(raw), raw))
    return found.hexdigest()
