"""A copy in memory of the small tables of the database, so that a request does not query the database.

The copy is never the authority. Each transaction of the log first reads the changes since the last one
(`read_changes`), refuses the records of answers that were made without them, and applies them to the copy
(`StateCache.take`). Changes of this process and of other replicas arrive in the same way. A user's entry is replaced as
a whole, so that a reader sees a consistent one without a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Table, func, select

from service.store.database import Database, by_driver
from service.store.schema import erased_users, hidden_items, interactions, keys, models, requirements, state

REVISION = str(select(state.c.revision))
"""Compiled once: compiling the statement for every transaction would take as long as the database's answer."""
COPIED = (requirements, interactions, erased_users, hidden_items, keys, models)
NEWEST = select(*(select(func.max(table.c.revision)).scalar_subquery().label(table.name) for table in COPIED))
"""The revision of the last change in each table, the last entry of its index; only those with a new one are read.

Not whether any row is newer: PostgreSQL expects that of a third of them, and reads a large table to its end for none.
"""
UNRECORDED = -1
"""In place of a revision while nothing was ever activated."""


@dataclass(frozen=True, slots=True)
class UserState:
    """Everything stored of one user that an answer depends on."""

    revision: int = 0
    """Revision of the last change; 0 where nothing was ever stored."""
    requirement: tuple[str, ...] | None = None
    """Attributes of the stored requirement; None where there is none."""
    items: tuple[str, ...] = ()
    """Items of the interactions posted since export, once each, oldest first."""
    suppressed: bool = False
    """Whether the user is erased: until that is lifted, nothing of this user is stored."""


NOTHING = UserState()


@dataclass(frozen=True, slots=True)
class HiddenItems:
    """Items that are never recommended."""

    revision: int = 0
    items: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret."""

    id: int
    name: str
    digest: bytes
    scopes: frozenset[str]
    created_us: int
    expires_us: int | None
    revoked_us: int | None

    def is_valid(self, now_us: int) -> bool:
        """Whether the key opens anything now."""
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


@dataclass(frozen=True)
class StoredModel:
    """One bundle version that was served from this database."""

    id: int
    name: str
    version: str
    content_hash: str
    attributes: tuple[str, ...]
    """In manifest order, which is that of the bits in the log's masks."""
    known_us: int
    activated_us: int | None
    activation: int
    """Revision of the last activation, 0 for none; the model with the largest one is active."""
    activated_by: str | None = None
    """Name of the API key; None where there was none."""
    share: float = 0.0
    """Of the users that it answers beside the active one; 0 where it is active itself, or answers nobody."""
    share_salt: bytes | None = None
    """Of the hash that says which users these are; None without a share."""
    revision: int = 0
    """Of the last change of all this."""

    @cached_property
    def bit(self) -> Mapping[str, int]:
        """Attribute → its bit in the log's masks."""
        return {name: 1 << place for place, name in enumerate(self.attributes)}


class StoredArms(NamedTuple):
    """The models that are to answer, as every replica and every start has them."""

    active: StoredModel | None
    """Activated last; None where none ever was."""
    trial: StoredModel | None
    """Answers a share of the users beside it; None where there is none."""

    @property
    def revision(self) -> int:
        """Names these two and the share: whatever of that changes, it is another one; `UNRECORDED` before the first."""
        return self.trial.revision if self.trial else self.active.activation if self.active else UNRECORDED


def arms_of(models: Iterable[StoredModel]) -> StoredArms:
    """The two of these that are to answer."""
    known = list(models)
    newest = max(known, key=lambda model: model.activation, default=None)
    trial = next((model for model in known if model.share > 0), None)
    return StoredArms(newest if newest is not None and newest.activation else None, trial)


@dataclass(frozen=True)
class Changes:
    """The changes between two revisions."""

    revision: int
    requirements: Mapping[str, tuple[int, tuple[str, ...] | None]]
    interactions: Mapping[str, tuple[int, tuple[str, ...]]]
    suppressed: Mapping[str, tuple[int, bool]]
    hidden: Mapping[str, tuple[int, bool]]
    keys: tuple[Key, ...]
    models: tuple[StoredModel, ...]

    @cached_property
    def users(self) -> frozenset[str]:
        """Users whose answers may have become stale."""
        return frozenset((*self.requirements, *self.interactions, *self.suppressed))


class StateCache:
    """The copy as of `revision`. Only the writer's thread changes it; any thread may read it.

    Dictionaries that other threads may iterate over are replaced, not changed.
    """

    def __init__(self) -> None:
        self.revision = -1
        self.hidden = HiddenItems()
        self.keys: Mapping[bytes, Key] = {}
        """By digest; revoked and expired ones too."""
        self.models: Mapping[int, StoredModel] = {}
        self._users: dict[str, UserState] = {}
        self._names: dict[str, str] = {}
        """One copy of every item id and requirement."""

    def user(self, user: str) -> UserState:
        """The state of a user."""
        return self._users.get(user, NOTHING)

    def users(self) -> list[tuple[str, UserState]]:
        """Every user of whom something is or was stored."""
        return list(self._users.items())

    @property
    def arms(self) -> StoredArms:
        """The models that are to answer, by what was asked for here or on another replica."""
        return arms_of(self.models.values())

    def key_named(self, name: str) -> Key | None:
        """A key by its name."""
        return next((key for key in self.keys.values() if key.name == name), None)

    def take(self, changes: Changes) -> None:
        """Apply changes. Applying some of them twice does no harm."""
        for user, (revision, suppressed) in changes.suppressed.items():
            # Also after the erasure is lifted: this process may have missed the erasure itself.
            self._put(user, revision, suppressed=suppressed, requirement=None, items=())
        for user, (revision, attributes) in changes.requirements.items():
            self._put(user, revision, requirement=attributes)
        for user, (revision, items) in changes.interactions.items():
            known = self.user(user).items
            added = (self._names.setdefault(item, item) for item in items)
            self._put(user, revision, items=tuple(dict.fromkeys((*known, *added))))
        if changes.hidden:
            now_hidden = set(self.hidden.items)
            for item, (_, hidden) in changes.hidden.items():
                (now_hidden.add if hidden else now_hidden.discard)(item)
            revision = max(revision for revision, _ in changes.hidden.values())
            self.hidden = HiddenItems(max(self.hidden.revision, revision), frozenset(now_hidden))
        if changes.keys:
            self.keys = {**self.keys, **{key.digest: key for key in changes.keys}}
        if changes.models:
            self.models = {**self.models, **{model.id: model for model in changes.models}}
        self.revision = max(self.revision, changes.revision)

    def _put(self, user: str, revision: int, **fields: object) -> None:
        old = self.user(user)
        self._users[user] = replace(old, revision=max(old.revision, revision), **fields)  # type: ignore[arg-type]


def learn(database: Database, known: StateCache) -> None:
    """Read the changes since the last time, and apply them.

    Raises:
        StoreUnavailableError: the database is lost.
    """
    with database.reading() as connection:
        changes = read_changes(connection, known.revision)
    if changes is not None:
        known.take(changes)


def read_changes(connection: Connection, since: int) -> Changes | None:
    """Read the changes after a revision; None where there are none, which takes one row to find out.

    The counter is read before the tables: a change that is committed in between is returned now, and once more the
    next time.
    """
    with by_driver(connection) as cursor:
        cursor.execute(REVISION)
        revision = int(cursor.fetchone()[0])
    if revision <= since:
        return None

    newest = connection.execute(NEWEST).one()._mapping

    def rows(table: Table, *names: str) -> Iterable[Any]:
        if (newest[table.name] or 0) <= since:
            return ()
        columns = [table.c[name] for name in names or table.c.keys()]
        return connection.execute(select(*columns).where(table.c.revision > since).order_by(*table.primary_key))

    posted: dict[str, tuple[int, list[str]]] = {}
    for user, item, at in rows(interactions, "user_id", "item_id", "revision"):
        items = posted[user][1] if user in posted else []
        items.append(item)
        posted[user] = (at, items)
    return Changes(
        revision,
        {row.user_id: (row.revision, split_names(row.attributes)) for row in rows(requirements)},
        {user: (at, tuple(items)) for user, (at, items) in posted.items()},
        {row.user_id: (row.revision, row.suppressed) for row in rows(erased_users)},
        {row.item_id: (row.revision, row.hidden) for row in rows(hidden_items)},
        tuple(as_key(row) for row in rows(keys)),
        tuple(as_model(row) for row in rows(models)),
    )


def split_names(text: str | None) -> tuple[str, ...] | None:
    """``"a,b"`` → ``("a", "b")``; nothing and NULL stay apart."""
    return None if text is None else tuple(text.split(",")) if text else ()


def as_key(row: Row[tuple[object, ...]]) -> Key:
    """A row of ``keys``."""
    scopes = frozenset(split_names(row.scopes) or ())
    return Key(row.id, row.name, row.digest, scopes, row.created_us, row.expires_us, row.revoked_us)


def as_model(row: Row[tuple[object, ...]]) -> StoredModel:
    """A row of ``models``."""
    attributes = split_names(row.attributes) or ()
    facts = (row.name, row.version, row.content_hash, attributes)
    activated = (row.known_us, row.activated_us, row.activation, row.activated_by)
    return StoredModel(row.id, *facts, *activated, row.share, row.share_salt, row.revision)


__all__ = [
    "NOTHING",
    "UNRECORDED",
    "Changes",
    "HiddenItems",
    "Key",
    "StateCache",
    "StoredArms",
    "StoredModel",
    "UserState",
    "arms_of",
    "read_changes",
]
