"""What the database says of users and items: nothing, what can be read of it, or that and the request log to write.

A service may run while its database is read. To write the log, this process takes the place of a service: SQLite has
one process at a time, which its lock file holds; PostgreSQL any number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from service.errors import StartError
from service.model.loaded import Model
from service.settings import Settings
from service.store import (
    Database,
    LogRecord,
    StateCache,
    Store,
    StoreStartError,
    check_schema,
    learn,
    logged_ids,
    register_model,
)

COMMIT_S = 60.0
"""Longest time for one part's records; nobody waits for an answer here."""


class Stored(Protocol):
    """The stored state, and the log."""

    known: StateCache

    def register(self, model: Model) -> int:
        """The id that the log has for a model."""
        ...

    def refresh(self) -> None:
        """Read what has changed."""
        ...

    def log(self, records: Sequence[LogRecord]) -> frozenset[int]:
        """Make records durable that are not in the log yet; places of those that a change has overtaken."""
        ...

    def close(self) -> None:
        """Let the database go."""
        ...


class NothingStored:
    """Without a database."""

    def __init__(self) -> None:
        self.known = StateCache()

    def register(self, _: Model) -> int:
        """No log, no id."""
        return 0

    def refresh(self) -> None:
        """Nothing changes."""

    def log(self, _: Sequence[LogRecord]) -> frozenset[int]:
        """Nothing is logged."""
        return frozenset()

    def close(self) -> None:
        """Nothing is open."""


class StateAlone(NothingStored):
    """The state of a database that a service may run from."""

    def __init__(self, url: str) -> None:
        """Read it.

        Raises:
            StoreStartError, StoreUnavailableError: it cannot be used.
        """
        super().__init__()
        self._database = Database(url)
        try:
            check_schema(self._database)
            self.refresh()
        except BaseException:
            self.close()
            raise

    def refresh(self) -> None:
        """Read what has changed."""
        learn(self._database, self.known)

    def close(self) -> None:
        """Close its connections."""
        self._database.close()


class StateAndLog:
    """A store as the service has it, asked from a thread that is no event loop."""

    def __init__(self, url: str, pseudonym_secret: str | None) -> None:
        """Open the store, and start its writer.

        Raises:
            StoreStartError, StoreUnavailableError: it cannot be used, or a service has it (SQLite).
        """
        try:
            self._store = Store(url, pseudonym_secret=pseudonym_secret, deadline_s=COMMIT_S)
        except StoreStartError as error:
            raise StoreStartError(f"--log cannot write the request log: {error}") from error
        self.known = self._store.known
        self._loop = asyncio.Runner()
        self._loop.run(self._start())

    def register(self, model: Model) -> int:
        """The id that the log has for a model."""
        attributes = model.bundle.description.attribute_names
        with self._store.database.writing() as tx:
            return register_model(tx, model.name, model.version, model.content_hash, attributes).id

    def refresh(self) -> None:
        """The writer looks for changes by itself, twice a second and with every commit."""

    def log(self, records: Sequence[LogRecord]) -> frozenset[int]:
        """Make records durable that are not in the log yet; places of those that a change has overtaken."""
        return self._loop.run(self._log(records))

    def close(self) -> None:
        """Write what waits, and free the database."""
        self._loop.run(self._store.close())
        self._loop.close()

    async def _start(self) -> None:
        self._store.start()

    async def _log(self, records: Sequence[LogRecord]) -> frozenset[int]:
        there = await self._store.read(logged_ids, [record.request_id for record in records])
        new = [place for place, record in enumerate(records) if record.request_id not in there]
        stale = await self._store.log([records[place] for place in new]) if new else ()
        return frozenset(new[place] for place in stale)


def database_to_use(given: str | None, settings: Settings) -> str | None:
    """The URL of the database of a service with these settings, unless another one is given, or ``none``.

    The default file of a service counts only where it is there: without a service there may be no database at all.
    """
    if given is not None:
        return None if given == "none" else given
    url = settings.database_url.get_secret_value()
    if "database_url" in settings.model_fields_set:
        return url
    database = Database(url)
    database.close()
    return url if database.path is not None and database.path.is_file() else None


def open_stored(url: str | None, pseudonym_secret: str | None, *, log: bool) -> Stored:
    """What a run is to know.

    Args:
        url: of the database; None for none.
        pseudonym_secret: EVENHAND_PSEUDONYM_SECRET, for the log.
        log: whether lists are recorded as shown.

    Raises:
        StartError: there is no such database, or it cannot be used so.
        StoreUnavailableError: it is lost.
    """
    if url is None:
        if log:
            raise StartError("--log needs a database: give --database URL")
        return NothingStored()
    database = Database(url)
    database.close()
    if database.path is not None and not database.path.is_file():
        raise StartError(f"there is no database {database.path}; `python -m service migrate` makes one")
    return StateAndLog(url, pseudonym_secret) if log else StateAlone(url)
