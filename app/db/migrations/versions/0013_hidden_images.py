"""Images that lists leave out

Revision 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. No image that is there is hidden."""
    op.add_column(
        "images", sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    """Take the tables back to the revision before. What was hidden is shown; what was deactivated
    stays so, and the code before gives its bytes to nobody."""
    op.drop_column("images", "hidden")
