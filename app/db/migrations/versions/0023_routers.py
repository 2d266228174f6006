"""Routers, external networks and floating IPs

Revision 0023, after 0022.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_ID = sa.String(length=36)
_QUOTAS = {"quota_routers": "10", "quota_floating_ips": "50"}


def upgrade() -> None:
    """Bring the tables to this revision. No network that is there is external, and none is on a
    router: all go on as they were."""
    for name, value in _QUOTAS.items():
        op.add_column(
            "projects", sa.Column(name, sa.Integer(), nullable=False, server_default=value)
        )
    op.add_column(
        "networks",
        sa.Column("external", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "hypervisors",
        sa.Column("refused_floating_ips", sa.JSON(), nullable=False, server_default="[]"),
    )
    _create_routers()
    _create_floating_ips()


def _create_routers() -> None:
    op.create_table(
        "routers",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("external_network_id", _ID, nullable=True),
        *_common(),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_routers_project_id_projects")
        ),
        sa.ForeignKeyConstraint(
            ["external_network_id"],
            ["networks.id"],
            name=op.f("fk_routers_external_network_id_networks"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routers")),
    )
    op.create_index("ix_routers_project_id", "routers", ["project_id"])
    op.create_index("ix_routers_external_network_id", "routers", ["external_network_id"])
    op.create_table(
        "router_interfaces",
        sa.Column("port_id", _ID, nullable=False),
        sa.Column("router_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(
            ["port_id"],
            ["ports.id"],
            name=op.f("fk_router_interfaces_port_id_ports"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["router_id"], ["routers.id"], name=op.f("fk_router_interfaces_router_id_routers")
        ),
        sa.PrimaryKeyConstraint("port_id", name=op.f("pk_router_interfaces")),
    )
    op.create_index("ix_router_interfaces_router_id", "router_interfaces", ["router_id"])


def _create_floating_ips() -> None:
    references = {
        "project_id": ("projects", None),
        "network_id": ("networks", None),
        "holder_id": ("ports", None),
        "port_id": ("ports", "SET NULL"),
        "router_id": ("routers", None),
    }
    op.create_table(
        "floating_ips",
        sa.Column("project_id", _ID, nullable=False),
        sa.Column("network_id", _ID, nullable=False),
        sa.Column("holder_id", _ID, nullable=False),
        sa.Column("address", sa.String(length=39), nullable=False),
        sa.Column("port_id", _ID, nullable=True),
        sa.Column("fixed_address", sa.String(length=39), nullable=True),
        sa.Column("router_id", _ID, nullable=True),
        sa.Column("told_revision", sa.BigInteger(), nullable=True),
        *_common(),
        *(
            sa.ForeignKeyConstraint(
                [column],
                [f"{table}.id"],
                name=op.f(f"fk_floating_ips_{column}_{table}"),
                ondelete=ondelete,
            )
            for column, (table, ondelete) in references.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floating_ips")),
        sa.UniqueConstraint("holder_id", name=op.f("uq_floating_ips_holder_id")),
    )
    op.create_index(
        "uq_floating_ips_port_id_fixed_address",
        "floating_ips",
        ["port_id", "fixed_address"],
        unique=True,
    )
    for column in ("project_id", "network_id", "router_id"):
        op.create_index(f"ix_floating_ips_{column}", "floating_ips", [column])


def _common() -> list[sa.Column[object]]:
    return [
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=True),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
    ]


def downgrade() -> None:
    """Take the tables back to the revision before. Routers and floating IPs are lost, the
    ports that were theirs, and networks that no bridge carries."""
    op.drop_table("floating_ips")
    op.drop_table("router_interfaces")
    op.drop_table("routers")
    op.execute(
        "DELETE FROM port_addresses WHERE port_id IN"
        " (SELECT id FROM ports WHERE device_owner LIKE 'network:%')"
    )
    op.execute("DELETE FROM ports WHERE device_owner LIKE 'network:%'")
    op.execute(
        "DELETE FROM port_addresses WHERE subnet_id IN (SELECT id FROM subnets WHERE network_id IN"
        " (SELECT id FROM networks WHERE kind = 'uplink'))"
    )
    op.execute(
        "DELETE FROM subnets WHERE network_id IN (SELECT id FROM networks WHERE kind = 'uplink')"
    )
    op.execute("DELETE FROM networks WHERE kind = 'uplink'")
    op.drop_column("hypervisors", "refused_floating_ips")
    op.drop_column("networks", "external")
    for name in _QUOTAS:
        op.drop_column("projects", name)
