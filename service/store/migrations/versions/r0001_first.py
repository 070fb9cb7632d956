"""The first schema.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "state",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("pseudonym_check", sa.String(64), comment="of the secret that pseudonyms were made with"),
        sa.Column("padding", sa.LargeBinary, comment="written and removed to see whether there is room"),
    )
    op.create_table(
        "keys",
        sa.Column("id", Serial, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True, comment="SHA-256 of the secret"),
        sa.Column("scopes", sa.Text, nullable=False, comment="comma-separated"),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("revoked_us", sa.BigInteger),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "requirements",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("attributes", sa.Text, comment="comma-separated; NULL once deleted"),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "interactions",
        sa.Column("id", Serial, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("item_id", sa.Text, nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("rating", sa.Double),
        sa.Column("taken_us", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "idempotency",
        sa.Column(
            "digest", sa.LargeBinary(32), primary_key=True, comment="of the caller's key name and Idempotency-Key"
        ),
        sa.Column("body_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("taken", sa.Integer, nullable=False),
        sa.Column("suppressed", sa.Integer, nullable=False),
        sa.Column("taken_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "hidden_items",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "erased_users",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("suppressed", sa.Boolean, nullable=False, comment="false once lifted"),
        sa.Column("changed_us", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("id", Serial, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("attributes", sa.Text, nullable=False, comment="comma-separated; the bits of the log's masks"),
        sa.Column("known_us", sa.BigInteger, nullable=False),
        sa.Column("activated_us", sa.BigInteger),
        sa.Column("activated_by", sa.Text, comment="name of the API key; NULL where there was none"),
        sa.Column(
            "activation",
            sa.BigInteger,
            nullable=False,
            comment="revision of the last activation; the largest is active",
        ),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("name", "version", "content_hash"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "request_log",
        sa.Column("position", Serial, primary_key=True),
        sa.Column("request_id", sa.LargeBinary(16), nullable=False, unique=True),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("purpose", sa.SmallInteger, nullable=False),
        sa.Column("user_key", sa.Text, comment="the user's id or its pseudonym; NULL for lists of nobody"),
        sa.Column("key_id", sa.BigInteger),
        sa.Column("model_id", sa.BigInteger, nullable=False),
        sa.Column("requested", sa.BigInteger, comment="mask; NULL where the request named no attributes"),
        sa.Column("applied", sa.BigInteger, nullable=False, comment="mask"),
        sa.Column("sources", sa.Text, nullable=False, comment="one letter per applied attribute, in manifest order"),
        sa.Column("k", sa.Integer, nullable=False),
        sa.Column("fallback", sa.Text),
        sa.Column("cached", sa.Boolean, nullable=False),
        sa.Column(
            "item_rows", sa.LargeBinary, nullable=False, comment="rows of the bundle's catalogue, little-endian int32"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("request", sa.Text, nullable=False, comment="JSON"),
        sa.Column("progress", sa.Double, nullable=False),
        sa.Column("result", sa.Text, comment="JSON"),
        sa.Column("error", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("started_us", sa.BigInteger),
        sa.Column("ended_us", sa.BigInteger),
        sa.Column("owner", sa.Text),
        sa.Column("heartbeat_us", sa.BigInteger),
    )
    op.create_index("ix_keys_revision", "keys", ["revision"])
    op.create_index("ix_requirements_revision", "requirements", ["revision"])
    op.create_index("ix_interactions_user_id", "interactions", ["user_id"])
    op.create_index("ix_interactions_taken_us", "interactions", ["taken_us"])
    op.create_index("ix_interactions_revision", "interactions", ["revision"])
    op.create_index("ix_idempotency_taken_us", "idempotency", ["taken_us"])
    op.create_index("ix_hidden_items_revision", "hidden_items", ["revision"])
    op.create_index("ix_erased_users_revision", "erased_users", ["revision"])
    op.create_index("ix_models_revision", "models", ["revision"])
    op.create_index("ix_request_log_time_us", "request_log", ["time_us"])
    op.create_index("ix_request_log_user_key", "request_log", ["user_key"])
    op.create_index("ix_audit_runs_created_us", "audit_runs", ["created_us"])
    op.execute("INSERT INTO state (id, revision) VALUES (1, 0)")


def downgrade() -> None:
    """Drop every table, and all that is in them."""
    for table in (
        "state",
        "keys",
        "requirements",
        "interactions",
        "idempotency",
        "hidden_items",
        "erased_users",
        "models",
        "request_log",
        "audit_runs",
    ):
        op.drop_table(table)
