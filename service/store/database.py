"""One database by its URL: connections whose commits are durable, and the meaning of its errors.

SQLite: WAL with ``synchronous=FULL``; every transaction that writes begins IMMEDIATE, so that it never finds at its
end that it may not. PostgreSQL: ``synchronous_commit=on`` whatever the server's default, and no statement of a writer
takes longer than `STATEMENT_S`, so that a server that hangs is found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from time import time_ns
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from service.store.errors import StoreStartError, StoreUnavailableError, UnstorableError
from service.store.schema import state

BUSY_S = 5.0
"""SQLite: how long to wait for another process (`keys create`, `backup`) that writes."""
CONNECT_S = 2
"""PostgreSQL: how long to wait for a connection."""
STATEMENT_S = 5
"""PostgreSQL: how long one statement of a writer may take."""
READERS = 4
"""Connections for reading."""
CHECKPOINT_PAGES = 1000
"""SQLite: pages (4 KiB) of the write-ahead log that are moved to the file at once."""


PGBOUNCER = (
    "this is PgBouncer, or another pooler, and not PostgreSQL itself: it drops the options of a connection that make a "
    "commit durable and bound in time. Let EVENHAND_DATABASE_URL lead to PostgreSQL; a replica needs six connections"
)
_COMPLAINTS = (
    ("unsupported startup parameter", PGBOUNCER),
    ("28P01", "it refuses this user and password"),
    ("password authentication failed", "it refuses this user and password"),
    ("no password supplied", "it asks for a password, and the URL has none"),
    ("no pg_hba.conf entry", "it lets this user in from nowhere like here, or not without TLS (pg_hba.conf)"),
    ("3D000", "its server has no database of that name"),
    (r'database ".*" does not exist', "its server has no database of that name"),
    (r'role ".*" does not exist', "its server has no user of that name"),
    ("server does not support ssl", "its server has no TLS, which sslmode demands"),
    ("certificate", "the TLS certificate of its server is not accepted"),
    ("ssl", "TLS with its server does not come about"),
    ("failed to resolve host", "there is no host of that name"),
    ("name or service not known", "there is no host of that name"),
    ("connection refused", "nothing listens at that host and port"),
    ("no such file or directory", "nothing listens at that host and port"),
    ("timeout expired", "no connection within 2 s"),
    ("connection timeout", "no connection within 2 s"),
)
"""SQLSTATE, or a pattern of what PostgreSQL's client library says of a connection that did not come about → what is
said here, which repeats no address, no user and no password."""


class Transaction:
    """One transaction that writes; every change gets one."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.now_us = now_us()

    def next_revision(self) -> int:
        """Count one change that others must hear of; the counter stays locked until the transaction ends."""
        counted = update(state).values(revision=state.c.revision + 1).returning(state.c.revision)
        return int(self.connection.execute(counted).scalar_one())


class Database:
    """Connections to one database. Those that write and those that read never share one."""

    def __init__(self, url: str) -> None:
        """Nothing is connected yet.

        Raises:
            StoreStartError: the URL is not one of SQLite or PostgreSQL.
        """
        self.url = _parsed(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.writers = create_engine(self.url, poolclass=NullPool)
            self.readers = create_engine(self.url, pool_size=READERS, max_overflow=0)
            event.listen(self.writers, "connect", _prepare_sqlite)
            event.listen(self.readers, "connect", _prepare_sqlite_reader)
            event.listen(self.writers, "begin", _begin_immediate)
            event.listen(self.readers, "begin", _begin)
        else:
            given, plain = self.url.query, self.url.difference_update_query(["options"])
            self.writers = create_engine(plain, poolclass=NullPool, connect_args=_postgres(STATEMENT_S, given))
            self.readers = create_engine(
                plain, pool_size=READERS, max_overflow=0, pool_pre_ping=True, connect_args=_postgres(0, given)
            )

    @property
    def path(self) -> Path | None:
        """The file of a SQLite database."""
        return Path(self.url.database).absolute() if self.is_sqlite and self.url.database else None

    @property
    def mark(self) -> str:
        """How the driver writes a parameter in SQL."""
        return "?" if self.is_sqlite else "%s"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read with; several SELECTs see one state in SQLite, each its own in PostgreSQL.

        Raises:
            StoreUnavailableError: the database is lost.
        """
        with translated(), self.readers.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection to read with; all its SELECTs see one state, in either kind of database.

        Raises:
            StoreUnavailableError: the database is lost.
        """
        with self.reading() as connection:
            yield connection if self.is_sqlite else connection.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction of its own, for commands and start-up; the running service writes by `Writer` alone.

        Raises:
            StoreUnavailableError: the database is lost, or full.
        """
        with translated(), self.writers.begin() as connection:
            yield Transaction(connection)

    def check_options(self) -> None:
        """Pass only where the server took the options that every connection asks for.

        Raises:
            StoreStartError: something in between dropped them.
            StoreUnavailableError: the database is lost.
        """
        if self.is_sqlite:
            return
        with self.writing() as tx:
            timeout = tx.connection.exec_driver_sql("SHOW statement_timeout").scalar_one()
        if timeout != f"{STATEMENT_S}s":
            raise StoreStartError(PGBOUNCER)

    def close(self) -> None:
        """Close every connection that rests."""
        self.readers.dispose()
        self.writers.dispose()


@contextmanager
def by_driver(connection: Connection) -> Iterator[Any]:
    """A cursor of the driver, in the transaction of a connection, for statements that every group of the log makes.

    SQLAlchemy's own work for a statement takes as long as SQLite's for a row or two.

    Raises:
        DBAPIError: the driver's errors, as SQLAlchemy raises them.
    """
    driver: Any = connection.connection.driver_connection
    dialect, errors = connection.dialect, connection.dialect.loaded_dbapi.Error
    try:
        with closing(driver.cursor()) as cursor:
            yield cursor
    except errors as error:
        lost = dialect.is_disconnect(error, driver, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, errors, connection_invalidated=lost, dialect=dialect) from error


def now_us() -> int:
    """Microseconds since 1970 in UTC."""
    return time_ns() // 1000


@contextmanager
def translated() -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except Exception as error:
        if is_unstorable(error):
            raise UnstorableError from error
        if isinstance(error, SQLAlchemyError) and not is_wrong_row(error):
            raise StoreUnavailableError(complaint(error)) from error
        raise


def is_wrong_row(error: BaseException) -> bool:
    """Whether one row of a transaction is to blame, so that the others may well be written without it."""
    return isinstance(error, IntegrityError) or not isinstance(error, SQLAlchemyError) or is_unstorable(error)


def is_unstorable(error: BaseException) -> bool:
    """Whether a value does not fit its column: NUL or a lone surrogate in a text, a number too large."""
    return isinstance(error, DataError | UnicodeEncodeError | OverflowError)


def is_lost(error: BaseException) -> bool:
    """Whether the connection is gone, so that another one may do."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def complaint(error: BaseException) -> str:
    """The fault of the database in one line, without SQL, parameters or the address."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    kind = type(cause).__name__
    said = str(cause).lower() if isinstance(error, OperationalError) else ""
    why = next((why for sign, why in _COMPLAINTS if sign == code or re.search(sign.lower(), said)), None)
    if why is not None:
        return f"the database cannot be used: {why}"
    return f"the database does not answer as it should ({kind}{f' {code}' if code else ''})"


def _parsed(text: str) -> URL:
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1))
        if url.get_backend_name() == "postgresql":
            if repeated := [name for name, value in url.query.items() if not isinstance(value, str)]:
                raise StoreStartError(f"EVENHAND_DATABASE_URL has {', '.join(repeated)} more than once")
            return url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
            return url
    except (ArgumentError, NoSuchModuleError):
        pass
    raise StoreStartError(
        "EVENHAND_DATABASE_URL must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
    ) from None


def _postgres(statement_s: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a connection is asked for: the URL's own parameters win, but for the three options, which come last."""
    options = f"-c synchronous_commit=on -c statement_timeout={statement_s}s -c timezone=UTC"
    alive = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 5000}
    ours = {"connect_timeout": CONNECT_S, "application_name": "evenhand", **alive}
    mine = {name: value for name, value in ours.items() if name not in given}
    return {**mine, "options": f"{given.get('options', '')} {options}".strip()}


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions where it sees fit
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_S)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    cursor.execute("PRAGMA journal_size_limit = 67108864")
    cursor.close()


def _prepare_sqlite_reader(connection: Any, _: Any) -> None:
    _prepare_sqlite(connection, _)
    connection.execute("PRAGMA query_only = ON")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


__all__ = ["Connection", "Database", "Engine", "Transaction", "complaint", "now_us", "translated"]
