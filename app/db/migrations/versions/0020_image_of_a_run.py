"""The image that comes of a run

Revision 0020, after 0019.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column("runs", sa.Column("image_id", sa.String(36), nullable=True))


def downgrade() -> None:
    """Take the tables back to the revision before. Images stay."""
    op.drop_column("runs", "image_id")
