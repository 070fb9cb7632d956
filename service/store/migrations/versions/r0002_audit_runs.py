"""An audit run's model, progress, and number of starts.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; runs of before have no model."""
    for column in (
        sa.Column("model_id", sa.BigInteger, comment="what is measured; NULL in runs of before it was recorded"),
        sa.Column("doing", sa.Text, comment="what its process is at"),
        sa.Column("verdict", sa.String(16), comment="the result's, so that lists of runs need not read results"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0", comment="times that it was begun"),
    ):
        op.add_column("audit_runs", column)


def downgrade() -> None:
    """Remove these columns with their values."""
    with op.batch_alter_table("audit_runs") as table:
        for column in ("model_id", "doing", "verdict", "attempts"):
            table.drop_column(column)
