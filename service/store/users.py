"""Changes and reads of one user's data: the requirement, interactions since export, erasure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from service.store.database import Transaction
from service.store.errors import IdempotencyConflictError
from service.store.pseudonym import Pseudonyms
from service.store.schema import erased_users, idempotency, interactions, request_log, requirements
from service.store.state_cache import split_names
from service.store.upsert import upsert

KEPT_IDEMPOTENCY_S = 24 * 3600
"""Shortest time that an Idempotency-Key is remembered."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One interaction of a user with an item."""

    user: str
    item: str
    time_us: int
    rating: float | None = None


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Identifies a repeated request."""

    digest: bytes
    """SHA-256 of the caller and their Idempotency-Key."""
    body_digest: bytes
    """SHA-256 of the request's body."""

    @classmethod
    def of(cls, caller: str, key: str, body: bytes) -> Idempotency:
        """Of a caller (the name of their API key), their Idempotency-Key and the request's body."""
        mine = hashlib.sha256(f"{len(caller)}:{caller}{key}".encode()).digest()
        return cls(mine, hashlib.sha256(body).digest())


@dataclass(frozen=True, slots=True)
class Taken:
    """The outcome of posted interactions."""

    taken: int
    suppressed: int
    """Number of interactions not stored, because their users are erased."""
    repeated: bool
    """Whether the same request came before; then these are its numbers, and nothing was written now."""


@dataclass(frozen=True, slots=True)
class Erased:
    """The data that an erasure removed."""

    requirement: bool
    interactions: int
    requests: int


@dataclass(frozen=True, slots=True)
class UserData:
    """Everything stored of one user, but for the request log's rows (`log_page` has them)."""

    requirement: tuple[str, ...] | None
    requirement_changed_us: int | None
    interactions: tuple[Interaction, ...]
    suppressed: bool
    requests: int
    """Number of this user's rows in the request log."""


def put_requirement(tx: Transaction, user: str, attributes: Sequence[str] | None) -> bool:
    """Store the attributes to protect in every answer to this user; None removes them. A change for `Writer`.

    Returns:
        False where the user is erased (and so nothing is stored), or there was nothing to remove.
    """
    revision = tx.next_revision()  # other changes wait from here on: no erasure can come in between
    if attributes is None:
        present = (requirements.c.user_id == user) & requirements.c.attributes.is_not(None)
        gone = update(requirements).where(present).values(attributes=None, changed_us=tx.now_us)
        return tx.connection.execute(gone.values(revision=revision)).rowcount == 1
    if _suppressed(tx.connection, {user}):
        return False
    row = {"attributes": ",".join(attributes), "changed_us": tx.now_us, "revision": revision}
    upsert(tx.connection, requirements, {"user_id": user}, row)
    return True


def add_interactions(tx: Transaction, posted: Sequence[Interaction], repeatable: Idempotency | None = None) -> Taken:
    """Store interactions, except those of erased users. A change for `Writer`.

    Raises:
        IdempotencyConflictError: the key came before with another body.
    """
    revision = tx.next_revision()  # other changes wait from here on: no erasure, no repeated request
    if repeatable is not None:
        known = select(idempotency).where(idempotency.c.digest == repeatable.digest)
        before = tx.connection.execute(known).one_or_none()
        if before is not None:
            if before.body_digest != repeatable.body_digest:
                raise IdempotencyConflictError
            return Taken(before.taken, before.suppressed, repeated=True)
    erased = _suppressed(tx.connection, {one.user for one in posted})
    rows = [
        {
            "user_id": one.user,
            "item_id": one.item,
            "time_us": one.time_us,
            "rating": one.rating,
            "taken_us": tx.now_us,
            "revision": revision,
        }
        for one in posted
        if one.user not in erased
    ]
    if rows:
        tx.connection.execute(insert(interactions), rows)
    taken = Taken(len(rows), len(posted) - len(rows), repeated=False)
    if repeatable is not None:
        mine = {"digest": repeatable.digest, "body_digest": repeatable.body_digest}
        counts = {"taken": taken.taken, "suppressed": taken.suppressed, "taken_us": tx.now_us}
        tx.connection.execute(insert(idempotency).values(**mine, **counts))
    return taken


def erase_user(tx: Transaction, user: str, pseudonyms: Pseudonyms) -> Erased:
    """Delete all data of a user and store nothing more until `lift_erasure`. A change for `Writer`.

    Rows of the request log go whole: without the id they could be linked to the user again, by computing lists anew.
    """
    row = {"suppressed": True, "changed_us": tx.now_us, "revision": tx.next_revision()}
    upsert(tx.connection, erased_users, {"user_id": user}, row)
    run = tx.connection.execute
    stored = run(delete(requirements).where(requirements.c.user_id == user).returning(requirements.c.attributes)).all()
    posted = run(delete(interactions).where(interactions.c.user_id == user)).rowcount
    mine = request_log.c.user_key.in_(pseudonyms.keys_of(user))
    return Erased(
        any(row.attributes is not None for row in stored), posted, run(delete(request_log).where(mine)).rowcount
    )


def lift_erasure(tx: Transaction, user: str) -> bool:
    """Store data of this user again from now on; False where the user was not erased. A change for `Writer`."""
    row = {"suppressed": False, "changed_us": tx.now_us, "revision": tx.next_revision()}
    erased = (erased_users.c.user_id == user) & erased_users.c.suppressed
    return tx.connection.execute(update(erased_users).where(erased).values(row)).rowcount == 1


def forget_interactions(tx: Transaction, taken_before_us: int, limit: int = 500) -> int:
    """Delete interactions that are in an exported bundle by now; oldest first, some at a time. A change for `Writer`.

    Processes that run keep what they know; they would only withhold these items from these users a little longer.
    """
    old = select(interactions.c.id).where(interactions.c.taken_us < taken_before_us)
    some = old.order_by(interactions.c.taken_us).limit(limit).scalar_subquery()
    return tx.connection.execute(delete(interactions).where(interactions.c.id.in_(some))).rowcount


def forget_idempotency(tx: Transaction, limit: int = 500) -> int:
    """Delete Idempotency-Keys older than `KEPT_IDEMPOTENCY_S`, some at a time. A change for `Writer`."""
    old = idempotency.c.taken_us < tx.now_us - 1_000_000 * KEPT_IDEMPOTENCY_S
    some = select(idempotency.c.digest).where(old).limit(limit).scalar_subquery()
    return tx.connection.execute(delete(idempotency).where(idempotency.c.digest.in_(some))).rowcount


def stored_requirement(connection: Connection, user: str) -> tuple[tuple[str, ...], int] | None:
    """The stored requirement, and the time of its last change; None where there is none. A read."""
    present = (requirements.c.user_id == user) & requirements.c.attributes.is_not(None)
    row = connection.execute(select(requirements).where(present)).one_or_none()
    return None if row is None else (split_names(row.attributes) or (), row.changed_us)


def user_data(connection: Connection, user: str, pseudonyms: Pseudonyms) -> UserData:
    """Everything stored of one user. A read."""
    stored = connection.execute(select(requirements).where(requirements.c.user_id == user)).one_or_none()
    posted = select(interactions).where(interactions.c.user_id == user).order_by(interactions.c.id)
    mine = request_log.c.user_key.in_(pseudonyms.keys_of(user))
    return UserData(
        None if stored is None else split_names(stored.attributes),
        None if stored is None or stored.attributes is None else stored.changed_us,
        tuple(Interaction(row.user_id, row.item_id, row.time_us, row.rating) for row in connection.execute(posted)),
        bool(_suppressed(connection, {user})),
        connection.execute(select(func.count()).select_from(request_log).where(mine)).scalar_one(),
    )


def interactions_page(connection: Connection, after: int, limit: int) -> list[tuple[int, Interaction]]:
    """Interactions in the order they came, each with its position; for the next training. A read."""
    rows = select(interactions).where(interactions.c.id > after).order_by(interactions.c.id).limit(limit)
    return [
        (row.id, Interaction(row.user_id, row.item_id, row.time_us, row.rating)) for row in connection.execute(rows)
    ]


def ever_erased(connection: Connection) -> list[tuple[str, bool]]:
    """Users who were erased at any time, and whether they still are: what was before is not theirs any more. A read."""
    rows = select(erased_users.c.user_id, erased_users.c.suppressed).order_by(erased_users.c.user_id)
    return [(user, suppressed) for user, suppressed in connection.execute(rows)]


def _suppressed(connection: Connection, users: set[str]) -> set[str]:
    erased = select(erased_users.c.user_id).where(erased_users.c.suppressed, erased_users.c.user_id.in_(users))
    return set(connection.execute(erased).scalars())
