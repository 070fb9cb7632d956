"""Commands that work on the database, whether the service runs or not: keys, schema, backups.

Each is one short transaction of its own. SQLite lets another process write between two commits of the service (its
lock file only keeps a second *service* away), and a running service hears of a key within half a second.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.access import SCOPES
from service.errors import ServiceError, StartError
from service.store import (
    Database,
    Exported,
    Key,
    back_up,
    check_schema,
    create_key,
    export,
    list_keys,
    migrate,
    now_us,
    restore,
    retire_key,
    revoke_key,
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_NUMBERED = re.compile(r"(.+)\.([1-9][0-9]{0,5})")


def parse_duration(text: str) -> int:
    """``90d``, ``12h``, ``30m``, ``0s`` as microseconds.

    Raises:
        StartError: it is none.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise StartError(f"{text!r} is not a duration like 90d, 12h, 30m or 0s")
    return int(found[1]) * _UNITS[found[2]] * 1_000_000


def make_key(url: str, name: str, scopes: Collection[str], lifetime_us: int | None) -> str:
    """A new key's secret, which nothing can show again.

    Raises:
        StartError: the name, a scope or the lifetime cannot be, or the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise StartError(f"{name!r:.80} is no name: letters, digits and ._@-, up to 64, a letter or digit first")
    if unknown := sorted(set(scopes) - set(SCOPES)):
        raise StartError(f"unknown scope {', '.join(unknown)}; there are {', '.join(SCOPES)}")
    if not scopes:
        raise StartError(f"a key without a scope opens nothing; there are {', '.join(SCOPES)}")
    if lifetime_us == 0:
        raise StartError("a key that expires at once opens nothing")
    with _opened(url) as database, database.writing() as tx:
        return create_key(tx, name, scopes, None if lifetime_us is None else tx.now_us + lifetime_us)


def end_key(url: str, name: str) -> None:
    """Revoke a key at once and for good.

    Raises:
        StartError: there is none of that name, or it is revoked.
    """
    with _opened(url) as database, database.writing() as tx:
        if not revoke_key(tx, name):
            raise StartError(f"no key {name!r:.80} that could be revoked")


def replace_key(url: str, name: str, overlap_us: int) -> tuple[str, str]:
    """A key with the same scopes and lifetime under the next name (``app``, ``app.2`` …); the old one ends soon.

    Returns:
        The new key's name and its secret.

    Raises:
        StartError: there is no valid key of that name.
    """
    with _opened(url) as database, database.writing() as tx:
        known = list_keys(tx.connection)
        old = next((key for key in known if key.name == name and key.is_valid(tx.now_us)), None)
        if old is None:
            raise StartError(f"no valid key {name!r:.80}")
        new = next_name(name, [key.name for key in known])
        lifetime_us = None if old.expires_us is None else old.expires_us - old.created_us
        secret = create_key(tx, new, old.scopes, None if lifetime_us is None else tx.now_us + lifetime_us)
        if overlap_us:
            retire_key(tx, name, tx.now_us + overlap_us)
        else:
            revoke_key(tx, name)
    return new, secret


def next_name(name: str, taken: Collection[str]) -> str:
    """``app`` → ``app.2`` → ``app.3``, past those that are taken."""
    numbered = _NUMBERED.fullmatch(name)
    base, number = (numbered[1], int(numbered[2])) if numbered else (name, 1)
    while f"{base}.{number + 1}" in taken:
        number += 1
    return f"{base}.{number + 1}"


def all_keys(url: str) -> list[Key]:
    """Every key, oldest first, without its secret."""
    with _opened(url) as database, database.reading() as connection:
        return list_keys(connection)


def status_of(key: Key) -> str:
    """``valid``, ``expired`` or ``revoked``."""
    if key.revoked_us is not None:
        return "revoked"
    return "valid" if key.is_valid(now_us()) else "expired"


def update_schema(url: str) -> None:
    """Bring the database to the schema of this version."""
    with _database(url) as database:
        if database.path is not None:
            _make_folder(database.path)
        migrate(database)


def save_copy(url: str, target: Path) -> None:
    """Copy a SQLite database to a file, while the service runs."""
    with _database(url) as database:
        _require_file(database)
        back_up(database, target)


def save_told(url: str, folder: Path) -> Exported:
    """Write what the next training needs of the database to a folder, while the service runs."""
    with _database(url) as database:
        _require_file(database)
        check_schema(database)
        return export(database, folder)


def put_back(url: str, backup: Path) -> None:
    """Put a copy in the place of the database, while no service runs from it."""
    with _database(url) as database:
        restore(backup, database)


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    """A database with the present schema; a SQLite file that is not there yet is made."""
    with _database(url) as database:
        if database.path is not None and not database.path.is_file():
            _make_folder(database.path)
            migrate(database)
        check_schema(database)
        yield database


@contextmanager
def _database(url: str) -> Iterator[Database]:
    database = Database(url)
    before = os.umask(0o077)  # nobody else may read the new files
    try:
        yield database
    except StartError:
        raise
    except ServiceError as error:
        raise StartError(str(error)) from error
    finally:
        database.close()
        os.umask(before)


def _require_file(database: Database) -> None:
    """Pass only where there is something to read: SQLite would make an empty file."""
    if database.path is not None and not database.path.is_file():
        raise StartError(f"there is no database {database.path}")


def _make_folder(file: Path) -> None:
    """The folder of a new database; not those around it, whose name may be a mistake."""
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StartError(f"{file.parent} cannot be made: {error.strerror}") from error
