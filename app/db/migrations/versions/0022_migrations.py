"""Servers that are being resized

Revision 0022, after 0021.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "migrations",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("dest", sa.String(255), nullable=False),
        sa.Column("source_id", sa.String(36), nullable=True),
        sa.Column("dest_id", sa.String(36), nullable=True),
        sa.Column("old_size", sa.JSON(), nullable=False),
        sa.Column("new_size", sa.JSON(), nullable=False),
        sa.Column("old_claim", sa.JSON(), nullable=False),
        sa.Column("new_claim", sa.JSON(), nullable=False),
        sa.Column("vcpus_held", sa.Integer(), nullable=False),
        sa.Column("memory_mib_held", sa.Integer(), nullable=False),
        sa.Column("was_running", sa.Boolean(), nullable=False),
        sa.Column("waits_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["server_id"], ["servers.id"], name=op.f("fk_migrations_server_id_servers")
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["hypervisors.id"], name=op.f("fk_migrations_source_id_hypervisors")
        ),
        sa.ForeignKeyConstraint(
            ["dest_id"], ["hypervisors.id"], name=op.f("fk_migrations_dest_id_hypervisors")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_migrations")),
    )
    op.create_index(op.f("ix_migrations_server_id"), "migrations", ["server_id"])
    op.create_index(
        op.f("ix_migrations_settled_at_waits_since"), "migrations", ["settled_at", "waits_since"]
    )


def downgrade() -> None:
    """Take the tables back to the revision before. Servers keep the size that they have; what was
    kept on hosts for a way back is theirs until they are deleted."""
    op.drop_table("migrations")
