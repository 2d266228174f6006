"""Networks that are made for projects without one

Revision 0030, after 0029.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column(
        "networks", sa.Column("is_default", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.create_table(
        "auto_topologies",
        sa.Column("project_id", sa.String(36), nullable=False),
        sa.Column("network_id", sa.String(36), nullable=False),
        sa.Column("router_id", sa.String(36), nullable=True),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["networks.id"],
            name=op.f("fk_auto_topologies_network_id_networks"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_auto_topologies_project_id_projects")
        ),
        sa.ForeignKeyConstraint(
            ["router_id"],
            ["routers.id"],
            name=op.f("fk_auto_topologies_router_id_routers"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_auto_topologies")),
    )


def downgrade() -> None:
    """Take the tables back to the revision before. Networks and routers that were made stay."""
    op.drop_table("auto_topologies")
    op.drop_column("networks", "is_default")
