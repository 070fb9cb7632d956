"""One group of writes in one transaction: its changes, then others' changes, then the records that are not stale.

A record is durable when the transaction has committed (`service.store.database` says how); waiters hear only then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, NamedTuple

from sqlalchemy import Connection, update
from sqlalchemy.exc import SQLAlchemyError

from service.store.database import Database, Transaction, by_driver, is_lost, is_unstorable, is_wrong_row
from service.store.errors import UnstorableError
from service.store.pseudonym import Pseudonyms
from service.store.record import COLUMNS, LogRecord, as_row
from service.store.schema import state
from service.store.state_cache import Changes, StateCache, read_changes
from service.thread_queue import Outcome

PADDING = 65_536
"""Bytes that must fit into a database that was full before it counts as healthy again."""

Turn = Callable[[], AbstractContextManager[None]]


class Write(NamedTuple):
    """Records of answers, or a change."""

    records: Sequence[LogRecord] = ()
    change: Callable[[Transaction], Any] | None = None


class GroupCommit:
    """Commits groups on one connection, and replaces a lost one. For one thread."""

    def __init__(self, database: Database, known: StateCache, pseudonyms: Pseudonyms, turn: Turn = nullcontext) -> None:
        """``turn`` is held by one process at a time while it writes; by default nothing is waited for."""
        self._database = database
        self._turn = turn
        self._known = known
        self._pseudonyms = pseudonyms
        self._connection: Connection | None = None
        marks = ", ".join([database.mark] * len(COLUMNS))
        self._insert = f"INSERT INTO request_log ({', '.join(COLUMNS)}) VALUES ({marks})"  # noqa: S608

    def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Commit a group, and apply all changes to the state cache; an empty group only looks for others' changes.

        A connection that is lost before the commit is replaced, once. If it is lost during the commit, the outcome is
        unknown, and the group must not be repeated.

        Returns:
            For a change its result, or its exception: then this change alone is undone. For records the places of
            those that were not written because they are stale.

        Raises:
            Exception: nothing was written, or the outcome is unknown (the connection was lost during the commit).
                `is_wrong_row` tells whether one row is to blame.
        """
        for last_attempt in (False, True):
            connection = self._connected()
            try:
                with self._turn(), connection.begin() as transaction:
                    outcomes, changes = self._fill(connection, writes)
                    last_attempt = True  # from here on the outcome of an error is unknown
                    transaction.commit()
            except BaseException as error:
                if not is_wrong_row(error):
                    self.close()
                if last_attempt or not is_lost(error):
                    raise
            else:
                if changes is not None:
                    self._known.take(changes)
                return outcomes
        raise AssertionError

    def _fill(self, connection: Connection, writes: Sequence[Write]) -> tuple[list[Outcome], Changes | None]:
        outcomes: list[Outcome] = [None] * len(writes)
        for place, write in enumerate(writes):
            if write.change is not None:
                outcomes[place] = _apart(connection, write.change)
        changes = read_changes(connection, self._known.revision)
        rows = []
        for place, write in enumerate(writes):
            if write.change is None:
                outcomes[place] = stale = self._stale(write.records, changes)
                rows += [as_row(record, self._pseudonyms) for i, record in enumerate(write.records) if i not in stale]
        if rows:
            with by_driver(connection) as cursor:
                cursor.executemany(self._insert, rows)
        return outcomes, changes

    def _stale(self, records: Sequence[LogRecord], changes: Changes | None) -> frozenset[int]:
        """Places of the records whose answers were made with an older state than the present one."""
        known = self._known
        if changes is not None and changes.hidden:
            return frozenset(range(len(records)))
        users = changes.users if changes is not None else ()
        return frozenset(
            i
            for i, record in enumerate(records)
            if record.hidden_revision != known.hidden.revision
            or record.user in users
            or (record.user is not None and record.user_revision != known.user(record.user).revision)
        )

    def probe(self) -> None:
        """Write as many bytes as a group has, and delete them again."""
        connection = self._connected()
        for padding in (bytes(PADDING), None):
            with self._turn(), connection.begin():
                connection.execute(update(state).values(padding=padding))

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._database.writers.connect()
        return self._connection

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
            with suppress(SQLAlchemyError):
                connection.close()


def _apart(connection: Connection, change: Callable[[Transaction], Any]) -> Outcome:
    """The result of a change, or its exception: then this change alone is undone. A database error undoes the group."""
    try:
        with connection.begin_nested():
            return change(Transaction(connection))
    except Exception as error:
        if not is_wrong_row(error):
            raise
        return UnstorableError() if is_unstorable(error) else error
