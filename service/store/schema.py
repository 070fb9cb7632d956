"""The tables. `migrations` makes them; a test holds the two together.

What the request path knows in memory (`service.store.state_cache`) carries a ``revision``: the value of the one
counter in ``state`` when the row last changed. The counter's row stays locked until its transaction ends, so revisions
become visible in order and "everything after revision r" is never missing anything, on any replica. Rows that end are
marked, not deleted, so that others hear of it.

Times are microseconds since 1970 in UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

Serial = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is called INTEGER."""

state = Table(
    "state",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("pseudonym_check", String(64), comment="of the secret that pseudonyms were made with"),
    Column("padding", LargeBinary, comment="written and removed to see whether there is room"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of the secret"),
    Column("scopes", Text, nullable=False, comment="comma-separated"),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("revoked_us", BigInteger),
    Column("revision", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

requirements = Table(
    "requirements",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("attributes", Text, comment="comma-separated; NULL once deleted"),
    Column("changed_us", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

interactions = Table(
    "interactions",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("user_id", Text, nullable=False, index=True),
    Column("item_id", Text, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("rating", Double),
    Column("taken_us", BigInteger, nullable=False, index=True),
    Column("revision", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True, comment="of the caller's key name and Idempotency-Key"),
    Column("body_digest", LargeBinary(32), nullable=False),
    Column("taken", Integer, nullable=False),
    Column("suppressed", Integer, nullable=False),
    Column("taken_us", BigInteger, nullable=False, index=True),
)

hidden_items = Table(
    "hidden_items",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("hidden", Boolean, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

erased_users = Table(
    "erased_users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("suppressed", Boolean, nullable=False, comment="false once lifted"),
    Column("changed_us", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False, index=True),
)

models = Table(
    "models",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("attributes", Text, nullable=False, comment="comma-separated; the bits of the log's masks"),
    Column("known_us", BigInteger, nullable=False),
    Column("activated_us", BigInteger),
    Column("activated_by", Text, comment="name of the API key; NULL where there was none"),
    Column("activation", BigInteger, nullable=False, comment="revision of the last activation; the largest is active"),
    Column("share", Double, nullable=False, server_default="0", comment="of users, beside the active one"),
    Column("share_salt", LargeBinary, comment="of the keyed hash that says which users; NULL without a share"),
    Column("revision", BigInteger, nullable=False, index=True),
    UniqueConstraint("name", "version", "content_hash"),
    sqlite_autoincrement=True,
)

request_log = Table(
    "request_log",
    metadata,
    Column("position", Serial, primary_key=True),
    Column("request_id", LargeBinary(16), nullable=False, unique=True),
    Column("time_us", BigInteger, nullable=False),
    Column("purpose", SmallInteger, nullable=False),
    Column("user_key", Text, comment="the user's id or its pseudonym; NULL for lists of nobody"),
    Column("key_id", BigInteger),
    Column("model_id", BigInteger, nullable=False),
    Column("requested", BigInteger, comment="mask; NULL where the request named no attributes"),
    Column("applied", BigInteger, nullable=False, comment="mask"),
    Column("sources", Text, nullable=False, comment="one letter per applied attribute, in manifest order"),
    Column("k", Integer, nullable=False),
    Column("fallback", Text),
    Column("cached", Boolean, nullable=False),
    Column("item_rows", LargeBinary, nullable=False, comment="rows of the bundle's catalogue, little-endian int32"),
    Column("balance", String(16), comment="target; NULL for the ranking as it is"),
    Column("balance_weight", Double),
    Column("divergence_before", Double, comment="KL of the ranking from the target; NULL where nothing is shown"),
    Column("divergence_after", Double, comment="the same of the list"),
    Index("ix_request_log_time_us", "time_us"),
    Index("ix_request_log_user_key", "user_key"),
    sqlite_autoincrement=True,
)

audit_runs = Table(
    "audit_runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("request", Text, nullable=False, comment="JSON"),
    Column("progress", Double, nullable=False),
    Column("result", Text, comment="JSON"),
    Column("error", Text),
    Column("created_us", BigInteger, nullable=False, index=True),
    Column("started_us", BigInteger),
    Column("ended_us", BigInteger),
    Column("owner", Text),
    Column("heartbeat_us", BigInteger),
    Column("model_id", BigInteger, comment="what is measured; NULL in runs of before it was recorded"),
    Column("doing", Text, comment="what its process is at"),
    Column("verdict", String(16), comment="the result's, so that lists of runs need not read results"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="times that it was begun"),
)
