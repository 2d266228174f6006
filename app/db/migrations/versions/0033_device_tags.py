"""Tags of interfaces

Revision 0033, after 0032.
"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column("ports", sa.Column("tag", sa.String(60), nullable=False, server_default=""))


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_column("ports", "tag")
