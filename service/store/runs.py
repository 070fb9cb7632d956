"""Audit runs: queued, then done by one replica, which regularly reports that it is alive.

A run whose owner was killed is lost: it is begun anew once the owner has been silent for long, or is back. The starts
of a run are counted, so that a run that kills its process each time is not started for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from service.store.database import Transaction
from service.store.errors import RunConflictError
from service.store.schema import audit_runs

Status = Literal["queued", "running", "done", "failed", "cancelled"]
Verdict = Literal["pass", "fail", "inconclusive", "not_judged"]
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
    """The process that works on it, or did last."""
    model_id: int | None = None
    """`StoredModel.id` of the measured model; None in runs from before this was recorded."""
    doing: str | None = None
    """The present step."""
    verdict: Verdict | None = None
    """The verdict of the result, in one word."""
    attempts: int = 0
    """How often it was started."""


def create_run(
    tx: Transaction,
    run: str,
    request: Mapping[str, Any],
    *,
    model_id: int | None = None,
    open_at_most: int | None = None,
) -> bool:
    """Queue a run under a new id; False where too many are queued or running. A change for `Writer`.

    Args:
        tx: the transaction; where replicas must not both take the last place, it has counted a revision before.
        run: the id, at most 32 characters.
        request: what is to be measured, as JSON data.
        model_id: `StoredModel.id` of what is measured.
        open_at_most: runs that may be queued or running, this one included.
    """
    if open_at_most is not None:
        count = select(func.count()).select_from(audit_runs).where(audit_runs.c.status.in_(OPEN))
        if tx.connection.execute(count).scalar_one() >= open_at_most:
            return False
    row = {"id": run, "status": "queued", "request": json.dumps(request), "progress": 0.0, "created_us": tx.now_us}
    tx.connection.execute(insert(audit_runs).values(row | {"model_id": model_id, "attempts": 0}))
    return True


def find_work(connection: Connection, owner: str, now_us: int, silent_us: int) -> bool:
    """Whether there is anything to claim for an owner that does nothing now. A read."""
    found = select(audit_runs.c.id).where(_free(owner, now_us, silent_us)).limit(1)
    return connection.execute(found).one_or_none() is not None


def claim_run(tx: Transaction, owner: str, silent_us: int) -> Run | None:
    """Claim the oldest run that is queued or lost, for an owner that does nothing now. A change for `Writer`.

    Two replicas never get the same one. A run taken over starts anew: its progress is 0 again.

    Args:
        tx: the transaction.
        owner: who does it; what this one was at before it was killed is lost.
        silent_us: what another owner has been at is lost once that one has been silent for so long.
    """
    free = select(audit_runs.c.id).where(_free(owner, tx.now_us, silent_us)).order_by(audit_runs.c.created_us)
    first = free.limit(1).with_for_update(skip_locked=True)  # SQLite has one writer anyhow and leaves this out
    found = tx.connection.execute(first).scalar_one_or_none()
    if found is None:
        return None
    row = {"status": "running", "owner": owner, "progress": 0.0, "started_us": tx.now_us, "heartbeat_us": tx.now_us}
    begun = row | {"doing": None, "attempts": audit_runs.c.attempts + 1}
    taken = update(audit_runs).where(audit_runs.c.id == found).values(begun).returning(audit_runs)
    return _as_run(tx.connection.execute(taken).one())


def fail_lost_runs(tx: Transaction, owner: str, silent_us: int, attempts: int) -> Sequence[str]:
    """Fail lost runs that were started too often; returns their ids. For the rest see `claim_run`. A change."""
    error = f"each of {attempts} processes that measured this ended in the middle of it"
    lost = _lost(owner, tx.now_us, silent_us) & (audit_runs.c.attempts >= attempts)
    row = {"status": "failed", "error": error, "ended_us": tx.now_us, "doing": None}
    ended = update(audit_runs).where(lost).values(row).returning(audit_runs.c.id)
    return tx.connection.execute(ended).scalars().all()


def report_run(tx: Transaction, run: str, owner: str, progress: float, doing: str | None = None) -> bool:
    """Report progress of a run; False where it has another owner now or was cancelled: stop then. A change."""
    row = {"progress": progress, "doing": doing, "heartbeat_us": tx.now_us}
    return tx.connection.execute(update(audit_runs).where(_mine(run, owner)).values(row)).rowcount == 1


def requeue_run(tx: Transaction, run: str, owner: str, *, counted: bool) -> bool:
    """Put a run back into the queue, to be started anew; False where it has another owner now. A change.

    Args:
        tx: the transaction.
        run: its id.
        owner: who has it.
        counted: whether this was an attempt that went wrong, and not one that was stopped in order.
    """
    row: dict[str, Any] = {"status": "queued", "owner": None, "heartbeat_us": None, "started_us": None}
    row |= {"progress": 0.0, "doing": None}
    if not counted:
        row["attempts"] = audit_runs.c.attempts - 1
    return tx.connection.execute(update(audit_runs).where(_mine(run, owner)).values(row)).rowcount == 1


def finish_run(
    tx: Transaction,
    run: str,
    owner: str,
    result: Mapping[str, Any] | None,
    error: str | None = None,
    verdict: Verdict | None = None,
) -> bool:
    """End a run with its result, or with an error; False where it has another owner now. A change for `Writer`."""
    row: dict[str, Any] = {"status": "done" if error is None else "failed", "error": error, "ended_us": tx.now_us}
    row["doing"] = None
    if error is None:
        row |= {"result": json.dumps(result), "progress": 1.0, "verdict": verdict}
    return tx.connection.execute(update(audit_runs).where(_mine(run, owner)).values(row)).rowcount == 1


def cancel_run(tx: Transaction, run: str) -> Run | None:
    """Cancel a run that is queued or running; None where there is no such run. A change for `Writer`.

    Raises:
        RunConflictError: it has ended.
    """
    is_open = (audit_runs.c.id == run) & audit_runs.c.status.in_(OPEN)
    row = {"status": "cancelled", "ended_us": tx.now_us, "doing": None}
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
    """The newest runs, newest first, without their results. A read."""
    columns = [column for column in audit_runs.c if column.name != "result"]
    newest = select(*columns).order_by(audit_runs.c.created_us.desc(), audit_runs.c.id).limit(limit)
    return [_as_run(row) for row in connection.execute(newest)]


def _free(owner: str, now_us: int, silent_us: int) -> Any:
    return or_(audit_runs.c.status == "queued", _lost(owner, now_us, silent_us))


def _lost(owner: str, now_us: int, silent_us: int) -> Any:
    left = or_(audit_runs.c.owner == owner, audit_runs.c.heartbeat_us < now_us - silent_us)
    return (audit_runs.c.status == "running") & left


def _mine(run: str, owner: str) -> Any:
    return (audit_runs.c.id == run) & (audit_runs.c.owner == owner) & (audit_runs.c.status == "running")


def _as_run(row: Row[Any]) -> Run:
    facts = dict(row._mapping)
    del facts["heartbeat_us"]
    text = facts.pop("result", None)
    result = None if text is None else json.loads(text)
    return Run(**facts | {"request": json.loads(row.request), "result": result})
