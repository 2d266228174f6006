"""Leases, hosts of runs, what a host's worker says of itself, drift

Revision 0002, after 0001.

Tables that others refer to only get columns added: on SQLite any other change copies the table, and
dropping the old one would break the references to it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_LONG_AGO = "1970-01-01 00:00:00+00"


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "watch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("canary_answered_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watch")),
    )
    _create_drift()
    op.add_column("attempts", sa.Column("reason_code", sa.String(length=64), nullable=True))
    op.add_column("attempts", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("stages", sa.Column("process", sa.String(length=36), nullable=True))
    _extend_hypervisors()
    _extend_runs()
    with op.batch_alter_table("allocations", schema=None) as batch_op:
        batch_op.drop_constraint("pk_allocations", type_="primary")
        batch_op.create_primary_key("pk_allocations", ["server_id", "hypervisor_id"])


def _create_drift() -> None:
    op.create_table(
        "drift",
        sa.Column("hypervisor_id", sa.String(length=36), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("server_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("first_seen_at", _TIME, nullable=False),
        sa.Column("last_seen_at", _TIME, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["hypervisor_id"], ["hypervisors.id"], name=op.f("fk_drift_hypervisor_id_hypervisors")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift")),
        sa.UniqueConstraint(
            "hypervisor_id",
            "direction",
            "kind",
            "name",
            name=op.f("uq_drift_hypervisor_id_direction_kind_name"),
        ),
    )
    op.create_index("ix_drift_server_id", "drift", ["server_id"], unique=False)


def _extend_hypervisors() -> None:
    for column in (
        sa.Column("process", sa.String(length=36), nullable=False, server_default=""),
        sa.Column("heartbeat_sent_at", sa.Float(), nullable=False, server_default="0"),
        sa.Column("slots", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("busy", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("canary_sent_at", _TIME, nullable=True),
        sa.Column("canary_answered_at", _TIME, nullable=True),
        sa.Column("deaf_since", _TIME, nullable=True),
        sa.Column("lost_at", _TIME, nullable=True),
        sa.Column("surveyed_at", _TIME, nullable=True),
    ):
        op.add_column("hypervisors", column)


def _extend_runs() -> None:
    if "hypervisor_id" not in {c["name"] for c in sa.inspect(op.get_bind()).get_columns("runs")}:
        # By hand, since SQLite takes a reference only with the column, and alembic gives it after.
        op.execute(
            "ALTER TABLE runs ADD COLUMN hypervisor_id VARCHAR(36)"
            " CONSTRAINT fk_runs_hypervisor_id_hypervisors REFERENCES hypervisors (id)"
        )
    for column in (
        sa.Column("lease_until", _TIME, nullable=False, server_default=_LONG_AGO),
        sa.Column("undoes_run_id", sa.String(length=36), nullable=True),
        sa.Column("undoes_attempt", sa.Integer(), nullable=True),
        sa.Column("ports", sa.JSON(), nullable=True),
    ):
        op.add_column("runs", column)
    op.create_index("ix_runs_hypervisor_id_state", "runs", ["hypervisor_id", "state"], unique=False)
    op.create_index("ix_runs_state_lease_until", "runs", ["state", "lease_until"], unique=False)
    _carry_over()


def _carry_over() -> None:
    """What was under way goes on: an unwinding becomes a run that undoes its own attempt."""
    op.execute("UPDATE runs SET lease_until = created_at")
    op.execute(
        "UPDATE runs SET hypervisor_id = (SELECT servers.hypervisor_id FROM servers"
        " WHERE servers.id = runs.server_id) WHERE state IN ('running', 'unwinding')"
    )
    op.execute(
        "UPDATE runs SET pipeline = 'unwind', state = 'running', undoes_run_id = id,"
        " undoes_attempt = attempt, published_at = NULL WHERE state = 'unwinding'"
    )
    op.execute(
        "UPDATE servers SET hypervisor_id = NULL WHERE id IN"
        " (SELECT server_id FROM runs WHERE pipeline = 'unwind' AND state = 'running')"
    )


def downgrade() -> None:
    """Take the tables back to the revision before. What is owed on hosts is forgotten with it."""
    op.execute(
        "DELETE FROM allocations WHERE EXISTS (SELECT 1 FROM servers WHERE"
        " servers.id = allocations.server_id AND (servers.hypervisor_id IS NULL"
        " OR servers.hypervisor_id <> allocations.hypervisor_id))"
    )
    with op.batch_alter_table("allocations", schema=None) as batch_op:
        batch_op.drop_constraint("pk_allocations", type_="primary")
        batch_op.create_primary_key("pk_allocations", ["server_id"])
    op.execute(
        "UPDATE runs SET state = 'cancelled' WHERE state = 'running' AND"
        " pipeline IN ('unwind', 'purge')"
    )
    op.drop_index("ix_runs_state_lease_until", "runs")
    op.drop_index("ix_runs_hypervisor_id_state", "runs")
    _drop_reference()
    for name in ("ports", "undoes_attempt", "undoes_run_id", "lease_until"):
        op.drop_column("runs", name)
    for name in (
        "surveyed_at",
        "lost_at",
        "deaf_since",
        "canary_answered_at",
        "canary_sent_at",
        "busy",
        "slots",
        "heartbeat_sent_at",
        "process",
    ):
        op.drop_column("hypervisors", name)
    op.drop_column("stages", "process")
    op.drop_column("attempts", "reason")
    op.drop_column("attempts", "reason_code")
    op.drop_index("ix_drift_server_id", "drift")
    op.drop_table("drift")
    op.drop_table("watch")


def _drop_reference() -> None:
    """SQLite drops no column that refers to another table (https://sqlite.org/lang_altertable.html,
    section 5): there it stays, unused, and empty."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE runs SET hypervisor_id = NULL")
    else:
        op.drop_column("runs", "hypervisor_id")
