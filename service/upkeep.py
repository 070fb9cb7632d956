"""Deletes old rows of the request log, if the operator wants so, and old Idempotency-Keys, while the service runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from service.errors import ServiceError
from service.store import Store, prune_idempotency

EVERY_S = 300.0
"""Time between two rounds, less a random share of up to half, so that replicas seldom run at once."""


class Upkeep:
    """Rounds in the background. The next round does what a failed one left."""

    def __init__(
        self,
        store: Store,
        *,
        max_age_s: float | None,
        max_rows: int | None,
        observe: Callable[[int], None],
        log: FilteringBoundLogger,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            store: what is tidied up.
            max_age_s: older rows of the request log go; None keeps them whatever their age.
            max_rows: more rows than these go, the oldest first; None keeps them whatever their number.
            observe: told how many rows went.
            log: for operators.
        """
        self.trouble: str | None = None
        """Why the last round failed; None where it did not."""
        self._store = store
        self._max_age_s = max_age_s
        self._max_rows = max_rows
        self._observe = observe
        self._log = log
        self._rounds: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Call it in the event loop."""
        self._rounds = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End, between two transactions."""
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.wait([self._rounds])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S * random.uniform(0.5, 1))
            try:
                await self._round()
                self.trouble = None
            except Exception as error:  # of any kind: the next round comes
                self.trouble = str(error) if isinstance(error, ServiceError) else type(error).__name__
                self._log.warning("upkeep failed", reason=self.trouble)

    async def _round(self) -> None:
        if self._max_age_s is not None or self._max_rows is not None:
            deleted = await self._store.prune(max_age_s=self._max_age_s, max_rows=self._max_rows)
            self._observe(deleted)
            if deleted:
                self._log.info("request log pruned", rows=deleted)
        while await self._store.change(prune_idempotency):
            pass
