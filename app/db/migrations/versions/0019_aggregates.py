"""Host aggregates, and the zones that they give their hosts

Revision 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. Every host is in the default zone."""
    op.create_table(
        "aggregates",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("availability_zone", sa.String(255), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aggregates")),
        sa.UniqueConstraint("number", name=op.f("uq_aggregates_number")),
        sa.UniqueConstraint("name", name=op.f("uq_aggregates_name")),
    )
    op.create_table(
        "aggregate_hosts",
        sa.Column("aggregate_id", sa.String(36), nullable=False),
        sa.Column("hypervisor_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(
            ["aggregate_id"],
            ["aggregates.id"],
            name=op.f("fk_aggregate_hosts_aggregate_id_aggregates"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["hypervisor_id"],
            ["hypervisors.id"],
            name=op.f("fk_aggregate_hosts_hypervisor_id_hypervisors"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("aggregate_id", "hypervisor_id", name=op.f("pk_aggregate_hosts")),
    )
    op.create_index(op.f("ix_aggregate_hosts_hypervisor_id"), "aggregate_hosts", ["hypervisor_id"])
    op.add_column("hypervisors", sa.Column("availability_zone", sa.String(255), nullable=True))
    # There was one zone: who named it asked for no less than who named none.
    op.execute("UPDATE request_specs SET availability_zone = ''")


def downgrade() -> None:
    """Take the tables back to the revision before. Servers stay where they are."""
    op.execute("UPDATE request_specs SET availability_zone = 'nova' WHERE availability_zone = ''")
    op.drop_column("hypervisors", "availability_zone")
    op.drop_table("aggregate_hosts")
    op.drop_table("aggregates")
