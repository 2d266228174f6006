"""Servers that are locked against their owners' own mistakes

Revision 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. No server that is there is locked."""
    op.add_column("servers", sa.Column("locked_by", sa.String(8), nullable=True))


def downgrade() -> None:
    """Take the tables back to the revision before. What was locked is not any more."""
    op.drop_column("servers", "locked_by")
