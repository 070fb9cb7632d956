"""Copies a SQLite database while a service writes to it. PostgreSQL has `pg_dump` and `pg_restore`."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from service.store.database import Database
from service.store.errors import StoreStartError, StoreUnavailableError
from service.store.lock import ProcessLock


def back_up(database: Database, target: Path) -> None:
    """Write a consistent copy of the database; the service goes on meanwhile.

    The copy is checked, on the disk, and in its place whole or not at all.

    Raises:
        StoreStartError: not SQLite, or the target exists.
        StoreUnavailableError: the copy cannot be made, as where the disk is full.
    """
    source = _file_of(database)
    if target.exists():
        raise StoreStartError(f"{target} exists; a backup never replaces another one")
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(source)) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        _check(unfinished)
        _sync(unfinished)
        unfinished.rename(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise StoreUnavailableError(f"no backup was made: {error}") from error


def restore(backup: Path, database: Database) -> None:
    """Replace the database by a backup; no process may serve from it.

    Raises:
        StoreStartError: not SQLite, a process serves from it, or the backup is damaged.
    """
    path = _file_of(database)
    lock = ProcessLock(path)
    try:
        _check(backup)
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.unlink(missing_ok=True)
        with closing(sqlite3.connect(backup)) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        _sync(unfinished)
        for rest in ("-wal", "-shm"):  # of the old file; SQLite would apply them to the new one
            path.with_name(path.name + rest).unlink(missing_ok=True)
        unfinished.rename(path)
        _sync(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreStartError(f"{backup} is not restored: {error}") from error
    finally:
        lock.release()


def _file_of(database: Database) -> Path:
    if database.path is None:
        raise StoreStartError("this is PostgreSQL: use pg_dump and pg_restore")
    return database.path


def _check(path: Path) -> None:
    if not path.is_file():
        raise StoreStartError(f"there is no backup {path}")
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        connection.execute("SELECT revision FROM state").fetchone()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
