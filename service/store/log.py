"""Reads the request log in pages, for people (for numbers: `service.store.counts`). Every call is one short read.

A long export is many pages, each after the last position of the one before. On PostgreSQL two replicas may commit in
another order than they were given positions: a page that reaches to the newest rows may miss one that appears a moment
later. Ask for what is ``until`` some seconds ago where that matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, Connection, Row, and_, false, or_, select, true

from service.balance import Divergence
from service.store.models import list_models
from service.store.pseudonym import Pseudonyms
from service.store.record import LoggedBalance, Purpose, unpack_names, unpack_sources
from service.store.schema import keys, request_log
from service.store.state_cache import StoredModel

log = request_log.c
AT_ONCE = 500
"""Request ids that one statement asks for."""


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Selects rows of the request log; every field that is not None must match."""

    user: str | None = None
    since_us: int | None = None
    """Earliest time, included."""
    until_us: int | None = None
    """Latest time, excluded."""
    version: str | None = None
    """Version of the model."""
    attribute: str | None = None
    """An attribute that the list protects."""
    purposes: tuple[Purpose, ...] | None = None
    request_id: str | None = None


@dataclass(frozen=True)
class LogRow:
    """One answered list."""

    position: int
    """Grows with every row; cursors hold it."""
    request_id: str
    time_us: int
    purpose: Purpose
    user_key: str | None
    """The user's id, or its pseudonym."""
    key: str | None
    """Name of the API key."""
    model: StoredModel
    requested: tuple[str, ...] | None
    applied: Mapping[str, str]
    """Attribute → source."""
    k: int
    fallback: str | None
    cached: bool
    rows: NDArray[np.int32]
    """(n,) rows of the model's catalogue, best first."""
    balance: LoggedBalance | None

    def items(self, catalogue: Sequence[str]) -> list[str]:
        """Item ids, by the ids of the model's catalogue in its order (``bundle.items.ids`` of that version)."""
        return [catalogue[row] for row in self.rows.tolist()]


def log_page(
    connection: Connection,
    wanted: LogFilter,
    pseudonyms: Pseudonyms,
    *,
    limit: int,
    after: int | None = None,
    newest_first: bool = True,
) -> list[LogRow]:
    """Up to ``limit`` rows in order of position. A read.

    Args:
        connection: the connection.
        wanted: which rows.
        pseudonyms: how users are written in the log.
        limit: how many rows.
        after: position of the last row of the page before; None for the first page.
        newest_first: the order.
    """
    models = {model.id: model for model in list_models(connection)}
    rows = select(request_log, keys.c.name.label("key")).outerjoin(keys, keys.c.id == log.key_id)
    rows = rows.where(condition(wanted, models, pseudonyms)).limit(limit)
    if after is not None:
        rows = rows.where(log.position < after if newest_first else log.position > after)
    rows = rows.order_by(log.position.desc() if newest_first else log.position)
    return [_as_log_row(row, models[row.model_id]) for row in connection.execute(rows)]


def logged_ids(connection: Connection, request_ids: Sequence[str]) -> set[str]:
    """Which of some request ids are in the log. A read."""
    found: set[str] = set()
    for start in range(0, len(request_ids), AT_ONCE):
        some = [bytes.fromhex(one) for one in request_ids[start : start + AT_ONCE]]
        found |= {
            one.hex() for one in connection.execute(select(log.request_id).where(log.request_id.in_(some))).scalars()
        }
    return found


def condition(
    wanted: LogFilter,
    models: Mapping[int, StoredModel],
    pseudonyms: Pseudonyms,
    time_us: ColumnElement[int] = log.time_us,
) -> ColumnElement[bool]:
    """The condition of a filter; its times are compared with ``time_us``."""
    parts = during(wanted, time_us)
    if wanted.user is not None:
        parts.append(log.user_key.in_(pseudonyms.keys_of(wanted.user)))
    if wanted.version is not None:
        parts.append(log.model_id.in_([model.id for model in models.values() if model.version == wanted.version]))
    if wanted.attribute is not None:
        parts.append(or_(false(), *_applied(wanted.attribute, models.values())))
    if wanted.purposes is not None:
        parts.append(log.purpose.in_([int(purpose) for purpose in wanted.purposes]))
    if wanted.request_id is not None:
        parts.append(log.request_id == bytes.fromhex(wanted.request_id))
    return and_(true(), *parts)


def during(wanted: LogFilter, time_us: ColumnElement[int] = log.time_us) -> list[ColumnElement[bool]]:
    """The conditions of a filter's times."""
    parts: list[ColumnElement[bool]] = []
    if wanted.since_us is not None:
        parts.append(time_us >= wanted.since_us)
    if wanted.until_us is not None:
        parts.append(time_us < wanted.until_us)
    return parts


def _applied(attribute: str, models: Any) -> list[ColumnElement[bool]]:
    """Whether the attribute's bit is set; each model has its own bit for it."""
    bits: dict[int, list[int]] = {}
    for model in models:
        if attribute in model.bit:
            bits.setdefault(model.bit[attribute], []).append(model.id)
    mask: Column[int] = log.applied
    return [log.model_id.in_(ids) & (mask.bitwise_and(_signed(bit)) != 0) for bit, ids in bits.items()]


def _signed(bit: int) -> int:
    return bit - (1 << 64) if bit >> 63 else bit


def _as_log_row(row: Row[Any], model: StoredModel) -> LogRow:
    return LogRow(
        row.position,
        row.request_id.hex(),
        row.time_us,
        Purpose(row.purpose),
        row.user_key,
        row.key,
        model,
        *protection_of(row, model.attributes),
        row.k,
        row.fallback,
        row.cached,
        np.frombuffer(row.item_rows, "<i4").astype(np.int32, copy=False),
        None if row.balance is None else LoggedBalance(row.balance, row.balance_weight, _divergence(row)),
    )


def _divergence(row: Row[Any]) -> Divergence | None:
    return None if row.divergence_after is None else Divergence(row.divergence_before, row.divergence_after)


def protection_of(row: Row[Any], attributes: Sequence[str]) -> tuple[tuple[str, ...] | None, dict[str, str]]:
    """The requested attributes (None where the request named none), and attribute → source as applied."""
    requested = None if row.requested is None else unpack_names(row.requested, attributes)
    return requested, unpack_sources(row.applied, row.sources, attributes)
