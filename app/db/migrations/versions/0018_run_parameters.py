"""What an action was told beside its name

Revision 0018, after 0017.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. Runs that are under way were told nothing."""
    op.add_column("runs", sa.Column("parameters", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_column("runs", "parameters")
