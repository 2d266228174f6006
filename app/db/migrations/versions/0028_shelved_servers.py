"""Shelved servers

Revision 0028, after 0027. The words of their state are longer than any before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_WORDS = ("status", "vm_state")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column("servers", sa.Column("shelved_image_id", sa.String(36), nullable=True))
    op.add_column("servers", sa.Column("shelved_at", sa.DateTime(timezone=True), nullable=True))
    _make_words(16, 32)


def downgrade() -> None:
    """Take the tables back to the revision before. Shelved servers are in ERROR then: what they
    are is not known there. Their images stay."""
    op.execute(
        "UPDATE servers SET status = 'ERROR', vm_state = 'error' WHERE vm_state LIKE 'shelved%'"
    )
    _make_words(32, 16)
    op.drop_column("servers", "shelved_at")
    op.drop_column("servers", "shelved_image_id")


def _make_words(before: int, after: int) -> None:
    """Give the columns another length. SQLite changes no column's type, and the keys of other
    tables keep it from writing this one anew: there it gets new columns of the old names."""
    if op.get_bind().dialect.name == "postgresql":
        for name in _WORDS:
            op.alter_column(
                "servers", name, type_=sa.String(after), existing_type=sa.String(before)
            )
        return
    for name in _WORDS:
        words = sa.Column("words", sa.String(after), nullable=False, server_default="")
        op.add_column("servers", words)
        op.execute(f"UPDATE servers SET words = {name}")  # noqa: S608 - a name of our own
        op.drop_column("servers", name)
        op.execute(f"ALTER TABLE servers RENAME COLUMN words TO {name}")
