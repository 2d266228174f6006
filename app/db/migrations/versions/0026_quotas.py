"""Limits of key pairs, metadata and server groups, and of projects without their own

Revision 0026, after 0025.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_LIMITS = {
    "quota_key_pairs": "100",
    "quota_metadata_items": "128",
    "quota_server_groups": "10",
    "quota_server_group_members": "10",
}


def upgrade() -> None:
    """Bring the tables to this revision. What a project has now is its own."""
    op.create_table(
        "quota_defaults",
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("resource", name=op.f("pk_quota_defaults")),
    )
    for name, limit in _LIMITS.items():
        op.add_column(
            "projects", sa.Column(name, sa.Integer(), nullable=False, server_default=limit)
        )
    own = sa.Column(
        "own_quotas", sa.JSON(), nullable=False, server_default='["cores", "instances", "ram"]'
    )
    op.add_column("projects", own)


def downgrade() -> None:
    """Take the tables back to the revision before."""
    for name in ("own_quotas", *_LIMITS):
        op.drop_column("projects", name)
    op.drop_table("quota_defaults")
