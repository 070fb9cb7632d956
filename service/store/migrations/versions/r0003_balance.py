"""The balance of each list, and what it did.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; lists of before were not balanced."""
    for column in (
        sa.Column("balance", sa.String(16), comment="target; NULL for the ranking as it is"),
        sa.Column("balance_weight", sa.Double),
        sa.Column(
            "divergence_before", sa.Double, comment="KL of the ranking from the target; NULL where nothing is shown"
        ),
        sa.Column("divergence_after", sa.Double, comment="the same of the list"),
    ):
        op.add_column("request_log", column)


def downgrade() -> None:
    """Remove these columns with their values."""
    with op.batch_alter_table("request_log") as table:
        for column in ("balance", "balance_weight", "divergence_before", "divergence_after"):
            table.drop_column(column)
