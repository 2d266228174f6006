"""Servers without a config drive

Revision 0025, after 0024.
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. Every server has a drive, whatever was asked for."""
    op.add_column(
        "servers",
        sa.Column("config_drive", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    op.drop_column("request_specs", "config_drive")


def downgrade() -> None:
    """Take the tables back to the revision before. Guests without a drive stay so until their
    domain is defined anew."""
    op.add_column(
        "request_specs",
        sa.Column("config_drive", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    op.drop_column("servers", "config_drive")
