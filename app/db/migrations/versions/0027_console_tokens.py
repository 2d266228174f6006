"""Who may open a server's console

Revision 0027, after 0026.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_OWNERS = ("server", "user", "project", "hypervisor")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "console_tokens",
        sa.Column("digest", sa.String(64), nullable=False),
        *(sa.Column(f"{owner}_id", sa.String(36), nullable=False) for owner in _OWNERS),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("certificate", sa.String(64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        *(
            sa.ForeignKeyConstraint(
                [f"{owner}_id"],
                [f"{owner}s.id"],
                name=op.f(f"fk_console_tokens_{owner}_id_{owner}s"),
                ondelete="CASCADE",
            )
            for owner in _OWNERS
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_console_tokens")),
    )
    op.create_index("ix_console_tokens_expires_at", "console_tokens", ["expires_at"])
    op.create_index(op.f("ix_console_tokens_server_id"), "console_tokens", ["server_id"])


def downgrade() -> None:
    """Take the tables back to the revision before. Whoever looks at a console must ask anew."""
    op.drop_table("console_tokens")
