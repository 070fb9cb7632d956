"""Audit runs: queued, then done by one replica, which says again and again that it lives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from service.store.database import Transaction
from service.store.errors import RunConflictError
from service.store.schema import audit_runs

Status = Literal["queued", "running", "done", "failed", "cancelled"]
OPEN: Final = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Run:
    """One audit run."""

    id: str
    status: Status
    request: Mapping[str, Any]
    progress: float
    """Share done, in [0, 1]."""
    result: Mapping[str, Any] | None
    error: str | None
    created_us: int
    started_us: int | None
    ended_us: int | None
    owner: str | None
    """Which process works on it, or did."""


def create_run(tx: Transaction, run: str, request: Mapping[str, Any]) -> None:
    """Queue a run under a new id (at most 32 characters). A change for `Writer`."""
    row = {"id": run, "status": "queued", "request": json.dumps(request), "progress": 0.0, "created_us": tx.now_us}
    tx.connection.execute(insert(audit_runs).values(row))


def claim_run(tx: Transaction, owner: str, silent_us: int) -> Run | None:
    """Take the oldest run that is queued, or whose owner has been silent for so long. A change for `Writer`.

    Two replicas never get the same one. A run taken over starts anew: its progress is 0 again.
    """
    dead = (audit_runs.c.status == "running") & (audit_runs.c.heartbeat_us < tx.now_us - silent_us)
    free = select(audit_runs.c.id).where(or_(audit_runs.c.status == "queued", dead)).order_by(audit_runs.c.created_us)
    first = free.limit(1).with_for_update(skip_locked=True)  # SQLite has one writer anyhow and leaves this out
    found = tx.connection.execute(first).scalar_one_or_none()
    if found is None:
        return None
    row = {"status": "running", "owner": owner, "progress": 0.0, "started_us": tx.now_us, "heartbeat_us": tx.now_us}
    taken = update(audit_runs).where(audit_runs.c.id == found).values(row).returning(audit_runs)
    return _as_run(tx.connection.execute(taken).one())


def report_run(tx: Transaction, run: str, owner: str, progress: float) -> bool:
    """Say how far a run is; False where it is this owner's no more, or was cancelled: stop then. A change."""
    row = {"progress": progress, "heartbeat_us": tx.now_us}
    return tx.connection.execute(update(audit_runs).where(_mine(run, owner)).values(row)).rowcount == 1


def finish_run(
    tx: Transaction, run: str, owner: str, result: Mapping[str, Any] | None, error: str | None = None
) -> bool:
    """End a run with its result, or with an error; False where it is this owner's no more. A change for `Writer`."""
    row: dict[str, Any] = {"status": "done" if error is None else "failed", "error": error, "ended_us": tx.now_us}
    if error is None:
        row |= {"result": json.dumps(result), "progress": 1.0}
    return tx.connection.execute(update(audit_runs).where(_mine(run, owner)).values(row)).rowcount == 1


def cancel_run(tx: Transaction, run: str) -> Run | None:
    """Cancel a run that is queued or running; None where there is no such run. A change for `Writer`.

    Raises:
        RunConflictError: it has ended.
    """
    is_open = (audit_runs.c.id == run) & audit_runs.c.status.in_(OPEN)
    row = {"status": "cancelled", "ended_us": tx.now_us}
    ended = update(audit_runs).where(is_open).values(row).returning(audit_runs)
    cancelled = tx.connection.execute(ended).one_or_none()
    if cancelled is not None:
        return _as_run(cancelled)
    present = get_run(tx.connection, run)
    if present is not None:
        raise RunConflictError(run, present.status, "only what is queued or running can be cancelled")
    return None


def delete_run(tx: Transaction, run: str) -> bool:
    """Delete a run that has ended; False where there is no such run. A change for `Writer`.

    Raises:
        RunConflictError: it is queued or running; cancel it first.
    """
    ended = (audit_runs.c.id == run) & audit_runs.c.status.not_in(OPEN)
    if tx.connection.execute(delete(audit_runs).where(ended)).rowcount == 1:
        return True
    present = get_run(tx.connection, run)
    if present is not None:
        raise RunConflictError(run, present.status, "cancel it before it is deleted")
    return False


def get_run(connection: Connection, run: str) -> Run | None:
    """A run by its id. A read."""
    row = connection.execute(select(audit_runs).where(audit_runs.c.id == run)).one_or_none()
    return None if row is None else _as_run(row)


def list_runs(connection: Connection, limit: int = 100) -> list[Run]:
    """The newest runs, newest first. A read."""
    newest = select(audit_runs).order_by(audit_runs.c.created_us.desc(), audit_runs.c.id).limit(limit)
    return [_as_run(row) for row in connection.execute(newest)]


def _mine(run: str, owner: str) -> Any:
    return (audit_runs.c.id == run) & (audit_runs.c.owner == owner) & (audit_runs.c.status == "running")


def _as_run(row: Row[Any]) -> Run:
    result = None if row.result is None else json.loads(row.result)
    times = (row.created_us, row.started_us, row.ended_us)
    return Run(row.id, row.status, json.loads(row.request), row.progress, result, row.error, *times, row.owner)
