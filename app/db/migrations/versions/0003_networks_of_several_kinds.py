"""Networks of several kinds, subnets of both IP versions, ports with several addresses

Revision 0003, after 0002.

`networks`, `projects` and `hypervisors` only get columns added, as 0002 says. Nothing refers to
`subnets` any more once the ports' addresses are out of `ports`, so these two can be changed freely.
"""

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_YES, _NO = sa.true(), sa.false()

_QUOTAS = {"quota_networks": "100", "quota_subnets": "100", "quota_ports": "500"}


def _notes() -> list[sa.Column[Any]]:
    return [
        sa.Column("description", sa.String(length=255), nullable=False, server_default=""),
        sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("revision", sa.Integer(), nullable=False, server_default="0"),
    ]


def upgrade() -> None:
    """Bring the tables to this revision."""
    for name, value in _QUOTAS.items():
        op.add_column(
            "projects", sa.Column(name, sa.Integer(), nullable=False, server_default=value)
        )
    op.add_column(
        "hypervisors",
        sa.Column("physical_networks", sa.JSON(), nullable=False, server_default="[]"),
    )
    _extend_networks()
    held = _rows("SELECT id, subnet_id, address FROM ports")
    _change_ports()
    _change_subnets()
    _create_addresses()
    _insert(
        "port_addresses",
        ("port_id", "subnet_id", "address", "position"),
        [(*row, 0) for row in held],
    )


def _extend_networks() -> None:
    for column in (
        sa.Column("kind", sa.String(length=16), nullable=False, server_default="nat"),
        # Networks that are there stay as they are: a part of their own on each host.
        sa.Column("vni", sa.Integer(), nullable=True),
        sa.Column("physical_network", sa.String(length=64), nullable=True),
        sa.Column("vlan", sa.Integer(), nullable=True),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False, server_default=_YES),
        sa.Column("port_security", sa.Boolean(), nullable=False, server_default=_YES),
        *_notes(),
    ):
        op.add_column("networks", column)
    op.create_index("uq_networks_vni", "networks", ["vni"], unique=True)
    op.create_index(
        "uq_networks_physical_network_vlan", "networks", ["physical_network", "vlan"], unique=True
    )


def _change_ports() -> None:
    with op.batch_alter_table("ports", schema=None) as batch_op:
        batch_op.drop_constraint("uq_ports_subnet_id_address", type_="unique")
        batch_op.drop_constraint("fk_ports_subnet_id_subnets", type_="foreignkey")
        batch_op.drop_column("subnet_id")
        batch_op.drop_column("address")
        batch_op.alter_column("server_id", existing_type=sa.String(length=36), nullable=True)
        for column in (
            sa.Column("is_owners", sa.Boolean(), nullable=False, server_default=_NO),
            sa.Column("name", sa.String(length=255), nullable=False, server_default=""),
            sa.Column("admin_state_up", sa.Boolean(), nullable=False, server_default=_YES),
            sa.Column("port_security", sa.Boolean(), nullable=False, server_default=_YES),
            sa.Column("address_pairs", sa.JSON(), nullable=False, server_default="[]"),
            sa.Column("device_id", sa.String(length=255), nullable=False, server_default=""),
            sa.Column("device_owner", sa.String(length=255), nullable=False, server_default=""),
            sa.Column("dns_name", sa.String(length=63), nullable=False, server_default=""),
            *_notes(),
        ):
            batch_op.add_column(column)
        batch_op.create_index("ix_ports_network_id", ["network_id"], unique=False)
        batch_op.create_index("ix_ports_project_id", ["project_id"], unique=False)


def _change_subnets() -> None:
    pools = _rows("SELECT first_address, last_address, id FROM subnets")
    with op.batch_alter_table("subnets", schema=None) as batch_op:
        for name in ("first_address", "last_address", "next_address"):
            batch_op.drop_column(name)
        batch_op.alter_column(
            "cidr", existing_type=sa.String(length=18), type_=sa.String(length=43)
        )
        batch_op.alter_column(
            "gateway",
            existing_type=sa.String(length=15),
            type_=sa.String(length=39),
            nullable=True,
        )
        for column in (
            sa.Column("version", sa.Integer(), nullable=False, server_default="4"),
            sa.Column("host_address", sa.String(length=39), nullable=True),
            sa.Column("host_routes", sa.JSON(), nullable=False, server_default="[]"),
            sa.Column("enable_dhcp", sa.Boolean(), nullable=False, server_default=_YES),
            sa.Column("pools", sa.JSON(), nullable=False, server_default="[]"),
            sa.Column("frontier", sa.String(length=39), nullable=True),
            *_notes(),
        ):
            batch_op.add_column(column)
        batch_op.create_index("ix_subnets_network_id", ["network_id"], unique=False)
    op.execute("UPDATE subnets SET host_address = gateway")
    table = sa.table("subnets", sa.column("id", sa.String), sa.column("pools", sa.JSON))
    for first, last, subnet_id in pools:
        pool = {"start": first, "end": last}
        op.execute(table.update().where(table.c.id == subnet_id).values(pools=[pool]))


def _create_addresses() -> None:
    op.create_table(
        "port_addresses",
        sa.Column("subnet_id", sa.String(length=36), nullable=False),
        sa.Column("address", sa.String(length=39), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("released_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["subnet_id"],
            ["subnets.id"],
            name=op.f("fk_port_addresses_subnet_id_subnets"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["port_id"], ["ports.id"], name=op.f("fk_port_addresses_port_id_ports")
        ),
        sa.PrimaryKeyConstraint("subnet_id", "address", name=op.f("pk_port_addresses")),
    )
    op.create_index("ix_port_addresses_port_id", "port_addresses", ["port_id"], unique=False)
    op.create_index(
        "ix_port_addresses_subnet_id_released_at",
        "port_addresses",
        ["subnet_id", "released_at"],
        unique=False,
    )


def downgrade() -> None:
    """Take the tables back to the revision before. What that cannot hold is forgotten: provider
    networks' ways out, subnets of IPv6, ports without a server or without an address of IPv4."""
    held = _rows(
        "SELECT a.port_id, a.subnet_id, a.address FROM port_addresses a"
        " JOIN subnets s ON s.id = a.subnet_id JOIN ports p ON p.id = a.port_id"
        " WHERE s.version = 4 AND p.server_id IS NOT NULL ORDER BY a.position DESC"
    )
    kept = {port_id: (subnet_id, address) for port_id, subnet_id, address in held}
    subnets = _old_subnets()
    op.drop_table("port_addresses")
    _restore_subnets(subnets)
    _restore_ports(kept)
    op.drop_index("uq_networks_physical_network_vlan", "networks")
    op.drop_index("uq_networks_vni", "networks")
    for name in (
        *("revision", "tags", "description"),
        *("port_security", "admin_state_up", "vlan", "physical_network", "vni", "kind"),
    ):
        op.drop_column("networks", name)
    op.drop_column("hypervisors", "physical_networks")
    for name in _QUOTAS:
        op.drop_column("projects", name)


def _old_subnets() -> list[tuple[Any, ...]]:
    """Return (id, gateway, first, last, next) of the subnets of IPv4."""
    table = sa.table(
        "subnets",
        *(sa.column(name) for name in ("id", "cidr", "gateway", "version")),
        sa.column("pools", sa.JSON),
    )
    found = op.get_bind().execute(sa.select(table).where(table.c.version == 4))
    subnets = []
    for row in found:
        block = ip_network(row.cidr)
        first = row.pools[0]["start"] if row.pools else str(block[2])
        last = row.pools[0]["end"] if row.pools else str(block[-2])
        subnets.append((row.id, row.gateway or str(block[1]), first, last, 0))
    return subnets


def _restore_subnets(subnets: list[tuple[Any, ...]]) -> None:
    op.execute("DELETE FROM subnets WHERE version <> 4")
    op.execute("UPDATE subnets SET gateway = '' WHERE gateway IS NULL")
    with op.batch_alter_table("subnets", schema=None) as batch_op:
        batch_op.drop_index("ix_subnets_network_id")
        for name in (
            *("revision", "tags", "description"),
            *("frontier", "pools", "enable_dhcp", "host_routes", "host_address", "version"),
        ):
            batch_op.drop_column(name)
        batch_op.alter_column(
            "gateway",
            existing_type=sa.String(length=39),
            type_=sa.String(length=15),
            nullable=False,
        )
        batch_op.alter_column(
            "cidr", existing_type=sa.String(length=43), type_=sa.String(length=18)
        )
        for name in ("first_address", "last_address"):
            batch_op.add_column(
                sa.Column(name, sa.String(length=15), nullable=False, server_default="")
            )
        batch_op.add_column(
            sa.Column("next_address", sa.Integer(), nullable=False, server_default="0")
        )
    for subnet_id, *values in subnets:
        _update(
            "subnets",
            subnet_id,
            ("gateway", "first_address", "last_address", "next_address"),
            values,
        )


def _restore_ports(kept: dict[str, tuple[str, str]]) -> None:
    for (port_id,) in _rows("SELECT id FROM ports"):
        if port_id not in kept:
            op.execute(sa.text("DELETE FROM ports WHERE id = :id").bindparams(id=port_id))
    for name in ("subnet_id", "address"):
        op.add_column("ports", sa.Column(name, sa.String(length=36), nullable=True))
    for port_id, values in kept.items():
        _update("ports", port_id, ("subnet_id", "address"), values)
    with op.batch_alter_table("ports", schema=None) as batch_op:
        batch_op.drop_index("ix_ports_network_id")
        batch_op.drop_index("ix_ports_project_id")
        for name in (
            *("revision", "tags", "description", "dns_name", "device_owner", "device_id"),
            *("address_pairs", "port_security", "admin_state_up", "name", "is_owners"),
        ):
            batch_op.drop_column(name)
        batch_op.alter_column("server_id", existing_type=sa.String(length=36), nullable=False)
        batch_op.alter_column("subnet_id", existing_type=sa.String(length=36), nullable=False)
        batch_op.alter_column(
            "address",
            existing_type=sa.String(length=36),
            type_=sa.String(length=15),
            nullable=False,
        )
        batch_op.create_foreign_key("fk_ports_subnet_id_subnets", "subnets", ["subnet_id"], ["id"])
        batch_op.create_unique_constraint("uq_ports_subnet_id_address", ["subnet_id", "address"])


def _rows(query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in op.get_bind().execute(sa.text(query))]


def _insert(table: str, names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
    columns = [sa.column(name) for name in names]
    if rows:
        op.bulk_insert(
            sa.table(table, *columns), [dict(zip(names, row, strict=True)) for row in rows]
        )


def _update(table: str, row_id: str, names: tuple[str, ...], values: Sequence[Any]) -> None:
    there = sa.table(table, sa.column("id"), *(sa.column(name) for name in names))
    changed = dict(zip(names, values, strict=True))
    op.execute(there.update().where(there.c.id == row_id).values(**changed))
