"""Application credentials, and the tokens that were given for them

Revision 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_REFERENCE = "fk_tokens_application_credential_id_application_credentials"


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "application_credentials",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("secret_hash", sa.String(length=255), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("unrestricted", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        *(
            sa.ForeignKeyConstraint(
                [f"{table[:-1]}_id"],
                [f"{table}.id"],
                name=op.f(f"fk_application_credentials_{table[:-1]}_id_{table}"),
                ondelete="CASCADE",
            )
            for table in ("projects", "users")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_application_credentials")),
        sa.UniqueConstraint(
            "user_id", "name", name=op.f("uq_application_credentials_user_id_name")
        ),
    )
    op.create_index(
        "ix_application_credentials_project_id", "application_credentials", ["project_id"]
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("application_credential_id", sa.String(length=36), nullable=True)
        )
        batch_op.create_foreign_key(
            _REFERENCE,
            "application_credentials",
            ["application_credential_id"],
            ["id"],
            ondelete="CASCADE",
        )
        batch_op.create_index(
            "ix_tokens_application_credential_id", ["application_credential_id"], unique=False
        )


def downgrade() -> None:
    """Take the tables back to the revision before. Tokens of credentials are worth nothing then:
    they would stand for all that the user may."""
    op.execute("DELETE FROM tokens WHERE application_credential_id IS NOT NULL")
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_index("ix_tokens_application_credential_id")
        batch_op.drop_constraint(_REFERENCE, type_="foreignkey")
        batch_op.drop_column("application_credential_id")
    op.drop_table("application_credentials")
