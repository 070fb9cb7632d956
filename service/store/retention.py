"""Deletes old rows of the request log, a few at a time, between the groups of the writer."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from service.store.database import Transaction
from service.store.schema import request_log
from service.store.users import forget_idempotency

CHUNK = 200
"""Rows deleted in one transaction, which takes a few milliseconds."""
PRUNING = 0x6576656E68616E64
"""PostgreSQL: the advisory lock for deleting old rows. Replicas that do so at once would wait for each other."""


def rows_cutoff(connection: Connection, max_rows: int) -> int:
    """The position up to which rows are deleted so that ``max_rows`` stay; 0 where none must be. A read.

    It walks over the rows that stay, so it is no work for the writer.
    """
    beyond = select(request_log.c.position).order_by(request_log.c.position.desc()).offset(max_rows).limit(1)
    return int(connection.execute(beyond).scalar_one_or_none() or 0)


def prune_log(tx: Transaction, before_us: int | None, cutoff: int, limit: int = CHUNK) -> int:
    """Delete some of the oldest rows. A change for `Writer`, again and again until it returns 0.

    Args:
        tx: the transaction.
        before_us: rows of an earlier time go; None keeps them whatever their age.
        cutoff: rows up to this position go, from `rows_cutoff`.
        limit: how many at once.

    Returns:
        How many were deleted; 0 also while another replica is at it.
    """
    if not _is_alone(tx.connection):
        return 0
    log = request_log.c
    deleted = 0
    for old, order in ((log.position <= cutoff, log.position), (log.time_us < (before_us or 0), log.time_us)):
        some = select(log.position).where(old).order_by(order).limit(limit - deleted).scalar_subquery()
        deleted += tx.connection.execute(delete(request_log).where(log.position.in_(some))).rowcount
    return deleted


def prune_idempotency(tx: Transaction) -> int:
    """`forget_idempotency`, by one replica at a time. A change for `Writer`, again and again until it returns 0."""
    return forget_idempotency(tx) if _is_alone(tx.connection) else 0


def _is_alone(connection: Connection) -> bool:
    """Take the lock, until the end of the transaction; False where another replica deletes old rows now."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(select(func.pg_try_advisory_xact_lock(PRUNING))).scalar_one())
