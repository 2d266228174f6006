"""Ephemeral and swap disks, extra specs, and processors that servers have to themselves.

Revision ID: 0005
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

#: Table -> its new columns, each with what all rows had until now.
COLUMNS = {
    "flavors": (("ephemeral_gib", sa.Integer, "0"), ("swap_mib", sa.Integer, "0"),
                ("extra_specs", sa.JSON, "{}")),
    "servers": (("ephemeral_gib", sa.Integer, "0"), ("swap_mib", sa.Integer, "0")),
    "request_specs": (("extra_specs", sa.JSON, "{}"),),
    "hypervisors": (("uefi", sa.Boolean, sa.false()),
                    ("vif_limits", sa.Boolean, sa.false()), ("dedicated_vcpus", sa.Integer, "0"),
                    ("free_dedicated_vcpus", sa.Integer, "0"),
                    ("dedicated_vcpus_used", sa.Integer, "0")),
    "allocations": (("dedicated_vcpus", sa.Integer, "0"),),
}  # fmt: skip


def upgrade() -> None:
    """Bring the tables to this revision."""
    for table, columns in COLUMNS.items():
        for name, kind, before in columns:
            op.add_column(table, sa.Column(name, kind(), nullable=False, server_default=before))


def downgrade() -> None:
    """Take the tables back to the revision before."""
    for table, columns in COLUMNS.items():
        for name, _, _ in columns:
            op.drop_column(table, name)
