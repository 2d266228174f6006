"""What later microversions of compute show

Descriptions, tags and reservations of servers, hosts that are forced down, softer server groups.

Revision 0021, after 0020.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision. Servers take the name of a flavor that is there still."""
    op.create_table(
        "server_tags",
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(60), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["servers.id"],
            name=op.f("fk_server_tags_server_id_servers"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("server_id", "tag", name=op.f("pk_server_tags")),
    )
    op.create_index(op.f("ix_server_tags_tag"), "server_tags", ["tag"])
    for column in (
        sa.Column("description", sa.String(255), nullable=True),
        sa.Column("flavor_name", sa.String(255), nullable=False, server_default=""),
        sa.Column("reservation_id", sa.String(16), nullable=False, server_default=""),
        sa.Column("launch_index", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("servers", column)
    op.add_column("flavors", sa.Column("description", sa.Text(), nullable=True))
    op.add_column("hypervisors", _no("forced_down"))
    op.add_column("server_groups", _no("is_soft"))
    op.add_column("server_groups", sa.Column("max_server_per_host", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE servers SET flavor_name = COALESCE("
        "(SELECT flavors.name FROM flavors WHERE flavors.id = servers.flavor_id), flavor_id)"
    )


def downgrade() -> None:
    """Take the tables back to the revision before. Softer groups are gone, whose servers stay where
    they are; hosts are as is heard of them."""
    op.execute("DELETE FROM server_groups WHERE is_soft")
    op.drop_column("server_groups", "max_server_per_host")
    op.drop_column("server_groups", "is_soft")
    op.drop_column("hypervisors", "forced_down")
    op.drop_column("flavors", "description")
    for name in ("launch_index", "reservation_id", "flavor_name", "description"):
        op.drop_column("servers", name)
    op.drop_table("server_tags")


def _no(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
