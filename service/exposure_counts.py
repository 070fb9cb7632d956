"""Counts what was shown of each item group, from the request log, for lists that follow quotas (`balance=quotas`).

The log is what all replicas share and what outlives a restart. It is read on from where the last round ended, a few
thousand rows at a time, while the service runs; before a list was ever to follow quotas, not at all.
"""

from __future__ import annotations

import asyncio

import numpy as np
from numpy.typing import NDArray
from structlog.typing import FilteringBoundLogger

from balance.shares import ItemShares, discount
from service.errors import ServiceError
from service.model.active import ActiveModel, ServedModel
from service.store import LogColumns, LogFilter, Purpose, Store, log_columns, log_span

EVERY_S = 30.0
"""Time between two counts: pages of a list go on with `cursor` for so long."""
LOOK_S = 0.5
"""Time between two looks whether anybody wants quotas."""
PART = 4000
"""Rows read and counted at a time: some milliseconds of a thread."""
EXPOSURE = tuple(purpose for purpose in Purpose if purpose.is_exposure)


class ExposureCounts:
    """Rounds in the background, over the lists of the version that serves."""

    def __init__(self, store: Store, active: ActiveModel, *, log: FilteringBoundLogger) -> None:
        """Nothing runs before `start`."""
        self._store, self._active, self._log = store, active, log
        self._counted: ServedModel | None = None
        self._next = 0
        self._exposure: NDArray[np.float64] = np.zeros(0)
        self._rounds: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Call it in the event loop."""
        self._rounds = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End, between two reads."""
        if self._rounds is not None:
            self._rounds.cancel()
            await asyncio.wait([self._rounds])

    async def count(self) -> None:
        """Read on to the end of the log, and tell the model that serves; a new one from the beginning.

        Raises:
            StoreUnavailableError: the database is lost.
        """
        served = self._active.current
        shares = served.model.item_shares
        if served is not self._counted:
            self._counted, self._next, self._exposure = served, 0, np.zeros(len(shares))
        wanted = LogFilter(purposes=EXPOSURE)
        span = await self._store.read(log_span, wanted)
        for start in range(max(self._next, span.start), span.stop, PART):
            positions = range(start, min(start + PART, span.stop))
            part = await self._store.read(log_columns, wanted, self._store.pseudonyms, positions)
            if part is not None:
                self._exposure = self._exposure + await asyncio.to_thread(exposure_of, part, served.id, shares)
            self._next = positions.stop
        served.count(self._exposure)

    async def _run(self) -> None:
        while True:
            wanted = self._active.current.quotas_wanted
            if wanted:
                try:
                    await self.count()
                except Exception as error:  # of any kind: the next round comes
                    reason = str(error) if isinstance(error, ServiceError) else type(error).__name__
                    self._log.warning("exposure cannot be counted", reason=reason)
            await asyncio.sleep(EVERY_S if wanted else LOOK_S)


def exposure_of(part: LogColumns, model_id: int, shares: ItemShares) -> NDArray[np.float64]:
    """(G,) exposure of the item groups in the lists of one model, by the rank in each list."""
    lengths = part.lengths[part.model_ids == model_id]
    items = part.items[(part.model_ids == model_id)[part.owners]]
    if not len(items):
        return np.zeros(len(shares))
    ranks = np.arange(len(items)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return shares.exposure_of(items, discount(int(lengths.max()))[ranks])
