"""Passwords that guests have posted

Revision 0031, after 0030.
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "posted_passwords",
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name=op.f("fk_posted_passwords_server_id_servers")
        ),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_posted_passwords")),
    )


def downgrade() -> None:
    """Take the tables back to the revision before. Hosts keep what was posted."""
    op.drop_table("posted_passwords")
