"""Statistics of the lists really served, from the request log: exposure and parity, and requirements met.

The log is read and counted in parts, each in some other thread and a few milliseconds long, so that a log of any length
neither fills memory nor holds up requests for long. It is counted for one request at a time; others wait.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import numpy as np

from service.audit.catalogues import Catalogues
from service.audit.count import Count, Exposure
from service.audit.requirements import PERSONAL, RequirementUse, summarised
from service.audit.shares import Classes
from service.errors import InvalidQueryError, NoAuditDataError, QueueFullError, UnknownGroupError
from service.model.active import Serving
from service.model.loaded import Model
from service.store import (
    LogFilter,
    Purpose,
    Store,
    count_balances,
    count_requirements,
    log_columns,
    log_span,
)

PART = 4000
"""Rows read and counted at a time: some milliseconds of a thread."""
WAITING = 8
"""Requests that may wait until the log is counted for another one."""
BY_MODEL = "model"
"""In place of an attribute: what is compared are the versions that answered."""
TURN_S = 1e-3
"""How long a thread may keep the interpreter while another one waits for it, as long as the log is counted: requests
pass through four threads, and would wait 5 ms at each."""
EXPOSURE = tuple(purpose for purpose in Purpose if purpose.is_exposure)


class LogStatistics:
    """Counts the request log of a running service."""

    def __init__(self, store: Store, serving: Serving, catalogues: Catalogues) -> None:
        """Nothing is read yet."""
        self._store = store
        self._serving = serving
        self._catalogues = catalogues
        self._alone = asyncio.Lock()
        self._waiting = 0

    async def exposure(self, by: str | None, groups: Sequence[str], since_us: int | None, until_us: int) -> Exposure:
        """Exposure of the lists that were shown to users of the active bundle.

        Args:
            by: attribute of the active bundle whose classes are compared; `BY_MODEL` for versions, each over the lists
                that it made; None for everybody together.
            groups: item groups to report; () for all.
            since_us: lists of an earlier time are left out.
            until_us: so are lists of this time and later.

        Raises:
            NoAuditDataError: the active bundle has no labels.
            InvalidQueryError: it does not know the attribute.
            UnknownGroupError: nor one of the item groups.
            QueueFullError: `WAITING` others wait already.
            StoreUnavailableError: the database is lost.
        """
        model = self._serving.arms.active.model
        classes = None if by is None or by == BY_MODEL else _classes(model, by)
        for group in groups:
            if not model.item_lookup.has(group):
                raise UnknownGroupError(group, model.item_lookup.groups)
        wanted = LogFilter(since_us=since_us, until_us=until_us, purposes=EXPOSURE)
        async with self._turn():
            begun = partial(Count, model, self._catalogues, self._store.pseudonyms, versions_apart=by == BY_MODEL)
            count = await asyncio.to_thread(begun)
            span = await self._store.read(log_span, wanted)
            for start in range(span.start, span.stop, PART):
                positions = range(start, min(start + PART, span.stop))
                part = await self._store.read(log_columns, wanted, self._store.pseudonyms, positions)
                if part is not None:
                    await asyncio.to_thread(count.add, part)
            keys = {key.id: key.name for key in self._store.known.keys.values()}
            balances = await self._store.read(count_balances, wanted, self._store.pseudonyms)
            return await asyncio.to_thread(count.exposure, groups, classes, keys, balances)

    async def requirements(self, since_us: int | None, until_us: int) -> RequirementUse:
        """How often each requirement was asked for and applied in lists made for somebody.

        Args:
            since_us: lists of an earlier time are left out.
            until_us: so are lists of this time and later.

        Raises:
            QueueFullError: `WAITING` others wait already.
            StoreUnavailableError: the database is lost.
        """
        wanted = LogFilter(since_us=since_us, until_us=until_us, purposes=PERSONAL)
        async with self._turn():
            counts = await self._store.read(count_requirements, wanted, self._store.pseudonyms)
        return summarised(counts, self._serving.arms.active.model.bundle.description.attribute_names)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING:
            raise QueueFullError(f"{WAITING} requests wait already until the request log is counted for another")
        self._waiting += 1
        try:
            await self._alone.acquire()
        finally:
            self._waiting -= 1
        try:
            with _short_turns():
                yield
        finally:
            self._alone.release()


@contextmanager
def _short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _classes(model: Model, by: str) -> Classes:
    description, audit = model.bundle.description, model.bundle.audit
    if by not in description.attribute_names:
        known = [*description.attribute_names, BY_MODEL]
        raise InvalidQueryError(
            [{"field": "by", "value": by, "reason": "not an attribute of this bundle", "allowed": known}]
        )
    if audit is None:
        raise NoAuditDataError(description.version)
    place = description.attribute_names.index(by)
    attribute = description.attributes[place]
    return Classes(by, attribute.classes, audit.labels[:, place].astype(np.int64), attribute.ordered)
