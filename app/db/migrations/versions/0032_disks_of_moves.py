"""Disks of moves

Revision 0032, after 0031.
"""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column(
        "migrations", sa.Column("carried", sa.JSON(), nullable=False, server_default="[]")
    )


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_column("migrations", "carried")
