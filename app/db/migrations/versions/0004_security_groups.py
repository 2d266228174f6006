"""Security groups, and what hosts have to learn of them

Revision 0004, after 0005.

Until here every port could be reached by anybody. Ports that are there stay so: they come into a
group of their project that lets everything in, by a name that says why. New ones get `default`.
"""

import time
import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_ID = sa.String(length=36)
_COUNT = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_QUOTAS = {"quota_security_groups": "10", "quota_security_group_rules": "100"}

_OPEN = "open-as-before-security-groups"
_WHY = "Made by the upgrade: servers that were there stay open, as they were"


def upgrade() -> None:
    """Bring the tables to this revision."""
    for name, value in _QUOTAS.items():
        op.add_column(
            "projects", sa.Column(name, sa.Integer(), nullable=False, server_default=value)
        )
    op.add_column(
        "hypervisors",
        sa.Column("fabric_carried_out", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.add_column(
        "request_specs",
        sa.Column("security_group_ids", sa.JSON(), nullable=False, server_default="[]"),
    )
    _create_groups()
    _create_rules()
    _create_members()
    _create_fabric()
    _carry_over()


def _create_groups() -> None:
    op.create_table(
        "security_groups",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("stateful", sa.Boolean(), nullable=False),
        sa.Column("default_of", _ID, nullable=True),
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=True),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_security_groups_project_id_projects")
        ),
        sa.ForeignKeyConstraint(
            ["default_of"], ["projects.id"], name=op.f("fk_security_groups_default_of_projects")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_groups")),
        sa.UniqueConstraint("default_of", name=op.f("uq_security_groups_default_of")),
    )
    op.create_index("ix_security_groups_project_id", "security_groups", ["project_id"])


def _create_rules() -> None:
    op.create_table(
        "security_group_rules",
        sa.Column("security_group_id", _ID, nullable=False),
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=True),
        sa.Column("protocol_number", sa.Integer(), nullable=True),
        sa.Column("port_min", sa.Integer(), nullable=True),
        sa.Column("port_max", sa.Integer(), nullable=True),
        sa.Column("remote_prefix", sa.String(length=49), nullable=True),
        sa.Column("remote_group_id", _ID, nullable=True),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["security_groups.id"],
            name=op.f("fk_security_group_rules_security_group_id_security_groups"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["remote_group_id"],
            ["security_groups.id"],
            name=op.f("fk_security_group_rules_remote_group_id_security_groups"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_security_group_rules_project_id_projects"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_group_rules")),
    )
    for name in ("security_group_id", "remote_group_id", "project_id"):
        op.create_index(f"ix_security_group_rules_{name}", "security_group_rules", [name])


def _create_members() -> None:
    op.create_table(
        "port_security_groups",
        sa.Column("port_id", _ID, nullable=False),
        sa.Column("security_group_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["port_id"],
            ["ports.id"],
            name=op.f("fk_port_security_groups_port_id_ports"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["security_groups.id"],
            name=op.f("fk_port_security_groups_security_group_id_security_groups"),
        ),
        sa.PrimaryKeyConstraint(
            "port_id", "security_group_id", name=op.f("pk_port_security_groups")
        ),
    )
    op.create_index(
        "ix_port_security_groups_security_group_id", "port_security_groups", ["security_group_id"]
    )


def _create_fabric() -> None:
    op.create_table(
        "fabric_changes",
        sa.Column("id", _COUNT, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("subject_id", _ID, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fabric_changes")),
    )
    op.create_table(
        "fabric_states",
        sa.Column("hypervisor_id", _ID, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("sent_revision", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", _TIME, nullable=True),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("resend_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["hypervisor_id"],
            ["hypervisors.id"],
            name=op.f("fk_fabric_states_hypervisor_id_hypervisors"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("hypervisor_id", name=op.f("pk_fabric_states")),
    )


def _carry_over() -> None:
    """Every host has everything to learn; every port is as open as it was."""
    moment = datetime.now(UTC)
    for host in _all("SELECT id FROM hypervisors"):
        _insert(
            "fabric_states",
            hypervisor_id=host,
            revision=int(time.time() * 1000),
            changed_at=moment,
            sent_revision=0,
            sends=0,
        )
    # Those that are being made, whose ports are still to come.
    being_made = "SELECT project_id FROM servers WHERE deleted_at IS NULL"
    for project in _all(f"SELECT project_id FROM ports UNION {being_made}"):  # noqa: S608
        group = _open_group(project, moment)
        op.execute(
            sa.text(
                "INSERT INTO port_security_groups (port_id, security_group_id)"
                " SELECT id, :group_id FROM ports WHERE project_id = :project AND port_security"
            ).bindparams(group_id=group, project=project)
        )
        spec = sa.table(
            "request_specs", sa.column("server_id"), sa.column("security_group_ids", sa.JSON)
        )
        its_servers = sa.text("SELECT id FROM servers WHERE project_id = :project")
        found = op.get_bind().execute(its_servers, {"project": project})
        for (server,) in found.all():
            op.execute(
                spec.update().where(spec.c.server_id == server).values(security_group_ids=[group])
            )


def _open_group(project: str, moment: datetime) -> str:
    group = str(uuid.uuid4())
    own = {"created_at": moment, "project_id": project}
    _insert(
        "security_groups",
        id=group,
        name=_OPEN,
        description=_WHY,
        stateful=True,
        tags=[],
        revision=0,
        **own,
    )
    for direction in ("ingress", "egress"):
        for version in (4, 6):
            _insert(
                "security_group_rules",
                id=str(uuid.uuid4()),
                security_group_id=group,
                direction=direction,
                ip_version=version,
                description="",
                **own,
            )
    return group


def _all(query: str) -> list[str]:
    return [str(value) for (value,) in op.get_bind().execute(sa.text(query)).all()]


def _insert(table: str, **values: Any) -> None:
    types = {"created_at": _TIME, "changed_at": _TIME, "tags": sa.JSON()}
    columns = [sa.column(name, types.get(name)) for name in values]
    op.execute(sa.table(table, *columns).insert().values(**values))


def downgrade() -> None:
    """Take the tables back to the revision before: all is open again."""
    op.drop_table("fabric_states")
    op.drop_table("fabric_changes")
    op.drop_table("port_security_groups")
    op.drop_table("security_group_rules")
    op.drop_table("security_groups")
    op.drop_column("request_specs", "security_group_ids")
    op.drop_column("hypervisors", "fabric_carried_out")
    for name in _QUOTAS:
        op.drop_column("projects", name)
