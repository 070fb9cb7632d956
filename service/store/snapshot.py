"""The stored state for a process that only reads it. A service may run from the same database meanwhile."""

from __future__ import annotations

from service.store.database import Database
from service.store.migration import check_schema
from service.store.state_cache import StateCache, learn


class Snapshot:
    """The state as of the last `refresh`."""

    def __init__(self, url: str) -> None:
        """Read the state; blocks.

        Raises:
            StoreStartError: the database does not have the schema of this version.
            StoreUnavailableError: it is lost.
        """
        self.known = StateCache()
        self._database = Database(url)
        try:
            check_schema(self._database)
            self.refresh()
        except BaseException:
            self.close()
            raise

    def refresh(self) -> None:
        """Read what has changed since.

        Raises:
            StoreUnavailableError: the database is lost.
        """
        learn(self._database, self.known)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()
