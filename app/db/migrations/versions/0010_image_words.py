"""What a server's image said of hardware and boot when the server was asked for

Revision 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. Servers that are there keep what their image says now."""
    op.add_column(
        "request_specs",
        sa.Column("image_words", sa.JSON(), nullable=False, server_default="{}"),
    )
    op.execute(
        "UPDATE request_specs SET image_words = (SELECT images.properties FROM images JOIN servers"
        " ON images.id = servers.image_id WHERE servers.id = request_specs.server_id)"
        " WHERE EXISTS (SELECT 1 FROM images JOIN servers ON images.id = servers.image_id"
        " WHERE servers.id = request_specs.server_id)"
    )


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_column("request_specs", "image_words")
