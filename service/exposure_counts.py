"""Counts what was shown of each item group, from the request log, for lists that follow quotas (`balance=quotas`).

The log is what all replicas share and what outlives a restart. It is read on from where the last round ended, a few
thousand rows at a time, while the service runs; before a list was ever to follow quotas, not at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from structlog.typing import FilteringBoundLogger

from balance.shares import ItemShares, discount
from service.errors import ServiceError
from service.model.active import ServedModel, Serving
from service.store import LogColumns, LogFilter, Purpose, Store, log_columns, log_span

EVERY_S = 30.0
"""Time between two counts: pages of a list go on with `cursor` for so long."""
LOOK_S = 0.5
"""Time between two looks whether anybody wants quotas."""
PART = 4000
"""Rows read and counted at a time: some milliseconds of a thread."""
EXPOSURE = tuple(purpose for purpose in Purpose if purpose.is_exposure)


@dataclass(slots=True)
class _Count:
    """What was counted of one model's lists."""

    served: ServedModel
    exposure: NDArray[np.float64]
    next: int = 0
    """Position in the log that it goes on at."""


class ExposureCounts:
    """Rounds in the background, over the lists of each version that answers."""

    def __init__(self, store: Store, serving: Serving, *, log: FilteringBoundLogger) -> None:
        """Nothing runs before `start`."""
        self._store, self._serving, self._log = store, serving, log
        self._counts: list[_Count] = []
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
        """Read on to the end of the log, and tell the models that answer; a new one from the beginning.

        Raises:
            StoreUnavailableError: the database is lost.
        """
        wanted = [served for served in self._serving.arms.models if served.quotas_wanted]
        known = {id(count.served): count for count in self._counts}
        self._counts = [known.get(id(served)) or _begun(served) for served in wanted]
        for count in self._counts:
            await self._read_on(count)

    async def _read_on(self, count: _Count) -> None:
        served, wanted = count.served, LogFilter(purposes=EXPOSURE)
        span = await self._store.read(log_span, wanted)
        for start in range(max(count.next, span.start), span.stop, PART):
            positions = range(start, min(start + PART, span.stop))
            part = await self._store.read(log_columns, wanted, self._store.pseudonyms, positions)
            if part is not None:
                shown = await asyncio.to_thread(exposure_of, part, served.id, served.model.item_shares)
                count.exposure = count.exposure + shown
            count.next = positions.stop
        served.count(count.exposure)

    async def _run(self) -> None:
        while True:
            wanted = any(served.quotas_wanted for served in self._serving.arms.models)
            if wanted:
                try:
                    await self.count()
                except Exception as error:  # of any kind: the next round comes
                    reason = str(error) if isinstance(error, ServiceError) else type(error).__name__
                    self._log.warning("exposure cannot be counted", reason=reason)
            else:
                self._counts = []  # and no longer a model that is gone
            await asyncio.sleep(EVERY_S if wanted else LOOK_S)


def _begun(served: ServedModel) -> _Count:
    return _Count(served, np.zeros(len(served.model.item_shares)))


def exposure_of(part: LogColumns, model_id: int, shares: ItemShares) -> NDArray[np.float64]:
    """(G,) exposure of the item groups in the lists of one model, by the rank in each list."""
    lengths = part.lengths[part.model_ids == model_id]
    items = part.items[(part.model_ids == model_id)[part.owners]]
    if not len(items):
        return np.zeros(len(shares))
    ranks = np.arange(len(items)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return shares.exposure_of(items, discount(int(lengths.max()))[ranks])
