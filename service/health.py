"""How each part of a running service is: what it cannot be without, and what it goes on without."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from service.errors import NotReadyError

Trouble = Callable[[], str | None]
"""Asks a part for its fault; None where there is none."""
NEEDED = frozenset({"worker", "store"})
"""Parts that nothing can be answered without."""
REASONS: Mapping[str, str] = {
    "worker": "the thread that makes lists does not answer",
    "store": "the database is lost, full, or too slow",
    "model": "another version was activated, and cannot be served here",
    "upkeep": "old rows of the request log cannot be deleted",
    "audits": "queued audit runs cannot be done",
    "index": "Milvus does not answer; every item is compared here",
    "redis": "Redis is lost, or refuses",
    "news": "changes by other replicas come late",
}
"""All that is said without a key of a part in trouble: what a part itself says may hold an address or a name."""


class Health:
    """The troubles of all parts, asked for when somebody wants to know."""

    def __init__(self, parts: Mapping[str, Trouble], check: Callable[[], None], log: FilteringBoundLogger) -> None:
        """Take what tells a fault of each part, what raises where no list would be made now, and where to say it."""
        self._parts = parts
        self._check = check
        self._log = log
        self._said: dict[str, str] = {}
        self.draining = False
        """Whether the process was told to end: it answers, but wants no more requests."""

    @property
    def troubles(self) -> dict[str, str | None]:
        """Each part of the service, and its fault; None where there is none."""
        return {part: ask() for part, ask in self._parts.items()}

    def is_up(self, part: str) -> float:
        """1 where a part works, else 0."""
        return float(self._parts[part]() is None)

    @property
    def components(self) -> dict[str, str]:
        """Each part of the service: ``ok`` or ``trouble``."""
        return {part: "trouble" if why else "ok" for part, why in self.troubles.items()}

    @property
    def degraded(self) -> dict[str, str]:
        """What the service goes on without: part → why, of `REASONS`."""
        return {part: REASONS[part] for part, why in self.troubles.items() if why and part not in NEEDED}

    def log_troubles(self) -> None:
        """Say what is wrong with each part as it begins, changes and ends: the log may name what a probe may not."""
        troubles = {part: why for part, why in self.troubles.items() if why}
        for part in troubles.keys() | self._said.keys():
            if troubles.get(part) != self._said.get(part):
                self._log.warning("trouble", part=part, why=troubles.get(part, "over"))
        self._said = troubles

    def check_ready(self) -> None:
        """Pass only where a recommendation would be answered, and should be asked for.

        Raises:
            NotReadyError: says why not, and how each part is.
        """
        if self.draining:
            raise NotReadyError("the service is shutting down", self.components)
        try:
            self._check()
        except NotReadyError as error:
            lost = next((REASONS[part] for part, why in self.troubles.items() if why and part in NEEDED), None)
            starting = "the service is starting or stopping"
            raise NotReadyError(lost or starting, self.components) from error
