"""What hosts say of for how long they are up

Revision 0024, after 0023.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. The next heartbeat tells."""
    op.add_column(
        "hypervisors", sa.Column("uptime", sa.String(255), nullable=False, server_default="")
    )


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_column("hypervisors", "uptime")
