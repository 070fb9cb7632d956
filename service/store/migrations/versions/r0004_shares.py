"""A version that answers a share of the users beside the active one.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns; no version of before has a share."""
    share = "of users, beside the active one"
    op.add_column("models", sa.Column("share", sa.Double, nullable=False, server_default="0", comment=share))
    salt = "of the keyed hash that says which users; NULL without a share"
    op.add_column("models", sa.Column("share_salt", sa.LargeBinary, comment=salt))


def downgrade() -> None:
    """Remove these columns with their values: the active version answers everybody."""
    with op.batch_alter_table("models") as table:
        table.drop_column("share_salt")
        table.drop_column("share")
