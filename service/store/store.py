"""The store of one process: opened at the start, used by every request, closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, select, update

from service.store.database import READERS, Database, Transaction, now_us
from service.store.errors import StoreStartError
from service.store.lock import ProcessLock
from service.store.log import LogFilter, LogRow, log_page
from service.store.migration import check_schema, migrate
from service.store.pseudonym import Pseudonyms
from service.store.record import LogRecord
from service.store.retention import prune_log, rows_cutoff
from service.store.schema import state
from service.store.state_cache import StateCache, learn
from service.store.writer import Writer
from service.thread_queue import Queued

P = ParamSpec("P")
Result = TypeVar("Result")


class Store:
    """`known` has the state that a request needs, `log` takes its record; `change` and `read` do everything else."""

    def __init__(
        self,
        url: str,
        *,
        pseudonym_secret: str | None = None,
        queue_size: int = 4096,
        deadline_s: float = 2.0,
        max_group: int = 256,
        observe: Callable[[int, float], None] | None = None,
        lock: ProcessLock | None = None,
    ) -> None:
        """Open the database and load the state; blocks. Nothing is written before `start`.

        Args:
            url: ``sqlite:///FILE`` (made, and brought to the present schema) or ``postgresql://…`` (must have it).
            pseudonym_secret: where given, the request log holds keyed hashes of user ids.
            queue_size: writes that may wait.
            deadline_s: how long a write may take.
            max_group: writes in one transaction.
            observe: told of every commit: writes in it, seconds it took. Called in the writer's thread.
            lock: of the SQLite file, where this process shares it with others of one service.

        Raises:
            StoreStartError: another process serves from the file, the schema is not this version's, or the secret is
                not the one that this database's pseudonyms were made with.
            StoreUnavailableError: the database is lost.
        """
        self.database = Database(url)
        self.pseudonyms = Pseudonyms(pseudonym_secret)
        self.known = StateCache()
        path = self.database.path
        self._lock = lock if path is None or lock is not None else ProcessLock(path)
        try:
            if self.database.is_sqlite:
                migrate(self.database)
                if path is not None:
                    path.chmod(0o600)
            check_schema(self.database)
            self._check_secret()
            learn(self.database, self.known)
        except BaseException:
            self._let_go()
            raise
        self.writer = Writer(
            self.database,
            self.known,
            self.pseudonyms,
            queue_size=queue_size,
            deadline_s=deadline_s,
            max_group=max_group,
            observe=observe,
            turn=nullcontext if lock is None else lock.turn,
        )
        self._threads = ThreadPoolExecutor(READERS, "store-reader")
        self.on_change: Callable[[int], None] | None = None
        """Called in the event loop with the new revision after a change by this process that others should hear of."""

    def start(self) -> None:
        """Start the writer. Call it in the event loop that will write."""
        self.writer.start()

    async def close(self) -> None:
        """Write the waiting writes and close the database."""
        await self.writer.close()
        await asyncio.to_thread(self._threads.shutdown)
        self._let_go()

    @property
    def trouble(self) -> str | None:
        """Why an answer could not be logged now; None where it could. For readiness."""
        return self.writer.trouble

    async def log(self, records: Sequence[LogRecord]) -> frozenset[int]:
        """Make records durable before their answers leave; see `Writer.log`.

        Returns:
            Places of the records that were not written because their answers are stale by now: make these again from
            the present state in `known`, and log them again. Empty: every record is durable.
        """
        return await self.writer.log(records)

    def log_from_worker(self, records: Sequence[Queued[LogRecord]]) -> None:
        """As `log`, from the recommender's worker thread; see `Writer.log_from_worker`."""
        self.writer.log_from_worker(records)

    async def change(
        self, change: Callable[Concatenate[Transaction, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Make a change durable, like ``await store.change(put_requirement, user, attributes)``."""
        before = self.known.revision
        result = await self.writer.change(lambda tx: change(tx, *args, **kwargs))
        if self.on_change is not None and self.known.revision > before:
            self.on_change(self.known.revision)
        return result

    def hear(self, revision: int) -> None:
        """Look soon for changes of another process up to a revision; 0 stands for any."""
        if not 0 < revision <= self.known.revision:
            self.writer.wake()

    async def read(
        self, read: Callable[Concatenate[Connection, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Read in another thread, like ``await store.read(user_data, user, store.pseudonyms)``.

        Raises:
            StoreUnavailableError: the database is lost.
        """
        work = partial(self._read, lambda connection: read(connection, *args, **kwargs))
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def export_log(self, wanted: LogFilter, chunk: int = 1000) -> AsyncIterator[list[LogRow]]:
        """All rows of a filter, oldest first, a chunk at a time; holds one chunk, and no connection between them."""
        last = 0
        while page := await self.read(log_page, wanted, self.pseudonyms, limit=chunk, after=last, newest_first=False):
            yield page
            last = page[-1].position

    async def prune(self, *, max_age_s: float | None, max_rows: int | None) -> int:
        """Delete rows of the request log that are too old or too many, a few at a time.

        Returns:
            How many were deleted.
        """
        cutoff = 0 if max_rows is None else await self.read(rows_cutoff, max_rows)
        before_us = None if max_age_s is None else now_us() - int(1e6 * max_age_s)
        total = 0
        while deleted := await self.change(prune_log, before_us, cutoff):
            total += deleted
        return total

    def _read(self, read: Callable[[Connection], Result]) -> Result:
        with self.database.reading() as connection:
            return read(connection)

    def _check_secret(self) -> None:
        with self.database.writing() as tx:
            present = tx.connection.execute(select(state.c.pseudonym_check)).scalar_one()
            if present is None and self.pseudonyms.check is not None:
                tx.connection.execute(update(state).values(pseudonym_check=self.pseudonyms.check))
            elif present != self.pseudonyms.check:
                raise StoreStartError(
                    "the request log holds pseudonyms made with another secret than EVENHAND_PSEUDONYM_SECRET says: "
                    "their users' data could neither be found nor erased"
                )

    def _let_go(self) -> None:
        self.database.close()
        if self._lock is not None:
            self._lock.release()
