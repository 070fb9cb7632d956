"""Reads the request log for numbers: columns of a range of rows, and counts made by the database itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from service.store.log import LogFilter, condition, during, protection_of
from service.store.models import list_models
from service.store.pseudonym import Pseudonyms
from service.store.schema import request_log
from service.store.state_cache import StoredModel

log = request_log.c


@dataclass(frozen=True)
class LogColumns:
    """Columns of a range of the request log, for counting."""

    models: Mapping[int, StoredModel]
    """By id; models of other rows too."""
    model_ids: NDArray[np.int64]
    """(n,)"""
    user_keys: tuple[str | None, ...]
    """n of them."""
    key_ids: NDArray[np.int64]
    """(n,) `Key.id` of the API key, 0 for none."""
    lengths: NDArray[np.int64]
    """(n,) items of each list."""
    items: NDArray[np.int32]
    """(sum of lengths,) catalogue rows of all lists, one after the other."""

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """(sum of lengths,) which of the n lists each item belongs to."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)


def log_span(connection: Connection, wanted: LogFilter) -> range:
    """The range of positions with every row of a filter's times; empty where there is none. A read.

    Only the times are looked at. They grow with the positions, but for what is written at the same moment.
    """
    # One query for each end: SQLite finds one end in the index, but reads the whole index for both together.
    ends = [select(end(log.position)).where(*during(wanted)).scalar_subquery() for end in (func.min, func.max)]
    first, last = connection.execute(select(*ends)).one()
    return range(0) if first is None else range(first, last + 1)


def log_columns(
    connection: Connection, wanted: LogFilter, pseudonyms: Pseudonyms, positions: range
) -> LogColumns | None:
    """The rows with these positions, oldest first; None where there are none. A read.

    Cheap by the row: 1,000,000 lists of ten are read and counted in seconds (`benchmarks/store.py`), 10,000 or so at a
    time out of `log_span`. Bounds on both sides keep any planner on the primary key, also one that knows nothing of the
    table yet; a limit would not: it sorts the rest of the log for each part of it.
    """
    models = {model.id: model for model in list_models(connection)}
    columns = select(log.model_id, log.user_key, log.key_id, log.item_rows)
    these = (log.position >= positions.start) & (log.position < positions.stop)
    rows = columns.where(these, condition(wanted, models, pseudonyms, log.time_us + 0))  # a sum has no index
    # Rows of the driver: a third less work than rows of SQLAlchemy, and there are a million of them.
    found = connection.execute(rows.order_by(log.position)).cursor.fetchall()
    if not found:
        return None
    model_ids, user_keys, key_ids, blobs = zip(*found, strict=True)
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs)) // 4
    items = np.frombuffer(b"".join(blobs), "<i4").astype(np.int32, copy=False)
    keys_or_0 = np.fromiter((key or 0 for key in key_ids), np.int64, len(key_ids))
    return LogColumns(models, np.array(model_ids), user_keys, keys_or_0, lengths, items)


@dataclass(frozen=True, slots=True)
class RequirementCount:
    """How many lists have the same attributes requested and applied."""

    requested: tuple[str, ...] | None
    """Attributes that the requests named; None where they named none."""
    applied: Mapping[str, str]
    """Attribute → source."""
    lists: int


@dataclass(frozen=True, slots=True)
class BalanceCount:
    """Lists with the same target and weight."""

    target: str
    weight: float
    lists: int
    before: float | None
    """Mean divergence of their rankings from the target; None where none of them shows anything."""
    after: float | None
    """The same of what was shown."""


def count_balances(connection: Connection, wanted: LogFilter, pseudonyms: Pseudonyms) -> list[BalanceCount]:
    """Count balanced lists by target and weight, the most frequent first. A read."""
    models = {model.id: model for model in list_models(connection)}
    ways, count = (log.balance, log.balance_weight), func.count().label("lists")
    means = (func.avg(log.divergence_before).label("before"), func.avg(log.divergence_after).label("after"))
    rows = select(*ways, count, *means).where(log.balance.is_not(None), condition(wanted, models, pseudonyms))
    found = connection.execute(rows.group_by(*ways).order_by(count.desc(), *ways))
    return [BalanceCount(row.balance, row.balance_weight, row.lists, row.before, row.after) for row in found]


def count_requirements(connection: Connection, wanted: LogFilter, pseudonyms: Pseudonyms) -> list[RequirementCount]:
    """Count lists by their attributes, as requested and as applied; the most frequent first. A read."""
    models = {model.id: model for model in list_models(connection)}
    ways = (log.model_id, log.requested, log.applied, log.sources)
    count = func.count().label("lists")
    rows = select(*ways, count).where(condition(wanted, models, pseudonyms)).group_by(*ways).order_by(count.desc())
    return [
        RequirementCount(*protection_of(row, models[row.model_id].attributes), row.lists)
        for row in connection.execute(rows)
    ]
