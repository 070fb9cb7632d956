"""What this process knows of the database in memory, so that a request asks no database.

Never the authority: each transaction of the log first reads what has changed since (`read_changes`), refuses records of
answers that were made without it, and makes it known (`Known.take`). Own changes come in the same way as those of other
replicas. A user's entry is replaced whole, so that a reader sees one state of it without a lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import Connection, Row, Select, Table, select

from service.store.schema import erased_users, hidden_items, interactions, keys, models, requirements, state

REVISION = str(select(state.c.revision))
"""As text: making it anew for every transaction would cost as much as the answer of the database."""


@dataclass(frozen=True, slots=True)
class UserState:
    """All that is stored of one user and matters to an answer."""

    revision: int = 0
    """Of the last change; 0 where nothing was ever stored."""
    requirement: tuple[str, ...] | None = None
    """Attributes of the stored requirement; None where there is none."""
    items: tuple[str, ...] = ()
    """Items of the interactions posted since export, once each, oldest first."""
    suppressed: bool = False
    """Erased: nothing of this user is stored until that is lifted."""


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
    """In manifest order: what the bits of the log's masks mean."""
    known_us: int
    activated_us: int | None
    activation: int
    """Revision of the last activation, 0 for none: the largest is the active one."""
    activated_by: str | None = None
    """Name of the API key; None where there was none."""

    @cached_property
    def bit(self) -> Mapping[str, int]:
        """Attribute → its bit in the log's masks."""
        return {name: 1 << place for place, name in enumerate(self.attributes)}


@dataclass(frozen=True)
class Changes:
    """What has changed between two revisions."""

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


class Known:
    """The process's picture of the database as of `revision`. Changed by the writer's thread alone, read by any.

    Dictionaries that others may walk through are replaced, not changed.
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
        """What is stored of a user."""
        return self._users.get(user, NOTHING)

    def users(self) -> list[tuple[str, UserState]]:
        """Every user of whom anything is, or was, stored, at this moment."""
        return list(self._users.items())

    @property
    def active(self) -> StoredModel | None:
        """The model activated last, here or on another replica."""
        newest = max(self.models.values(), key=lambda model: model.activation, default=None)
        return newest if newest is not None and newest.activation else None

    def key_named(self, name: str) -> Key | None:
        """A key by its name."""
        return next((key for key in self.keys.values() if key.name == name), None)

    def take(self, changes: Changes) -> None:
        """Make changes known. Taking some of them twice does no harm."""
        for user, (revision, suppressed) in changes.suppressed.items():
            # Also where that is lifted: the erasure itself may have gone by unseen.
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


def read_changes(connection: Connection, since: int) -> Changes | None:
    """What has changed after a revision; None where nothing has. One row is read in that case.

    The counter is read before the tables: what is committed in between shows up here already, and once more next time.
    """
    revision = int(connection.exec_driver_sql(REVISION).scalar_one())
    if revision <= since:
        return None

    def rows(table: Table) -> Iterable[Row[tuple[object, ...]]]:
        changed: Select[tuple[object, ...]] = select(table).where(table.c.revision > since)
        return connection.execute(changed.order_by(table.c.revision))

    posted: dict[str, tuple[int, list[str]]] = {}
    few = select(interactions.c.user_id, interactions.c.item_id, interactions.c.revision)
    for user, item, at in connection.execute(few.where(interactions.c.revision > since).order_by(interactions.c.id)):
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
    return StoredModel(row.id, *facts, row.known_us, row.activated_us, row.activation, row.activated_by)


__all__ = [
    "NOTHING",
    "Changes",
    "HiddenItems",
    "Key",
    "Known",
    "StoredModel",
    "UserState",
    "read_changes",
]
