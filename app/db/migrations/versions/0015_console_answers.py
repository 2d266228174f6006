"""What servers' consoles said

Revision 0015, after 0014.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "console_answers",
        sa.Column("question", sa.String(36), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("question", name=op.f("pk_console_answers")),
    )
    op.create_index("ix_console_answers_created_at", "console_answers", ["created_at"])


def downgrade() -> None:
    """Take the tables back to the revision before. Nobody waits for what is lost."""
    op.drop_table("console_answers")
