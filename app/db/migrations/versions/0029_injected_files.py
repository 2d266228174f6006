"""Files that guests are to find, and limits of them

Revision 0029, after 0028.
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_LIMITS = {
    "quota_injected_files": "5",
    "quota_injected_file_content_bytes": "10240",
    "quota_injected_file_path_bytes": "255",
}


def upgrade() -> None:
    """Bring the tables to this revision."""
    files = sa.Column("files", sa.JSON(), nullable=False, server_default="[]")
    op.add_column("request_specs", files)
    for name, limit in _LIMITS.items():
        op.add_column(
            "projects", sa.Column(name, sa.Integer(), nullable=False, server_default=limit)
        )


def downgrade() -> None:
    """Take the tables back to the revision before. Servers that are still to be built have no
    files then."""
    for name in _LIMITS:
        op.drop_column("projects", name)
    op.execute("DELETE FROM quota_defaults WHERE resource LIKE 'injected_%'")
    op.drop_column("request_specs", "files")
