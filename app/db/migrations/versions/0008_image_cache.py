"""What is in each host's image cache

Revision 0008, after 0004.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column(
        "hypervisors",
        sa.Column("image_cache_bytes", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.add_column("hypervisors", sa.Column("image_cache_at", _TIME, nullable=True))
    op.create_table(
        "cached_images",
        sa.Column("hypervisor_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("disk_format", sa.String(length=16), nullable=False),
        sa.Column("image_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("allocated_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_at", _TIME, nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hypervisor_id"],
            ["hypervisors.id"],
            name=op.f("fk_cached_images_hypervisor_id_hypervisors"),
        ),
        sa.PrimaryKeyConstraint(
            "hypervisor_id", "sha256", "disk_format", name=op.f("pk_cached_images")
        ),
    )


def downgrade() -> None:
    """Take the tables back to the revision before."""
    op.drop_table("cached_images")
    op.drop_column("hypervisors", "image_cache_at")
    op.drop_column("hypervisors", "image_cache_bytes")
