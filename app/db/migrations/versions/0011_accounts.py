"""Users and projects that can be deleted, tokens that say how they came to be, failed logins

Revision 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    for table in ("projects", "users"):
        op.add_column(table, sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("email", sa.String(length=255), nullable=True))
    op.add_column(
        "users",
        sa.Column("description", sa.String(length=255), nullable=False, server_default=""),
    )
    op.add_column(
        "tokens", sa.Column("methods", sa.JSON(), nullable=False, server_default='["password"]')
    )
    op.add_column("tokens", sa.Column("first_audit_id", sa.String(length=32), nullable=True))
    op.create_index("ix_role_assignments_project_id", "role_assignments", ["project_id"])
    op.create_table(
        "failed_logins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failed_logins")),
    )
    op.create_index("ix_failed_logins_who_at", "failed_logins", ["who", "at"])
    op.create_index("ix_failed_logins_address_at", "failed_logins", ["address", "at"])
    op.create_index("ix_failed_logins_at", "failed_logins", ["at"])


def downgrade() -> None:
    """Take the tables back to the revision before. Who was deleted stays, disabled."""
    op.drop_table("failed_logins")
    op.drop_index("ix_role_assignments_project_id", "role_assignments")
    for table, column in (
        ("tokens", "first_audit_id"),
        ("tokens", "methods"),
        ("users", "description"),
        ("users", "email"),
        ("users", "deleted_at"),
        ("projects", "deleted_at"),
    ):
        op.drop_column(table, column)
