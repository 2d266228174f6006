"""Migrations give the tables that the models name, up and down, on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Engine, MetaData, Table, inspect, text

from app.db.migrations import downgrade, upgrade
from app.db.models import Allocation, Base, Hypervisor, Port, RequestSpec, Subnet, Token
from app.db.session import make_engine, make_sessions


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """An engine on a database without tables."""
    engine = make_engine(database_url)
    Base.metadata.drop_all(engine)
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_migrated_tables_are_the_models(empty: Engine) -> None:
    upgrade(empty)

    assert tables(empty) == set(Base.metadata.tables)
    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_down_and_up_again(empty: Engine) -> None:
    upgrade(empty)
    downgrade(empty, "base")
    assert tables(empty) == set()

    upgrade(empty)
    upgrade(empty)
    assert tables(empty) == set(Base.metadata.tables)


def test_processes_that_start_together_do_not_collide(empty: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: upgrade(empty), range(4)))

    assert tables(empty) == set(Base.metadata.tables)


MOMENT = "2026-11-01 10:00:00+00:00"


@pytest.fixture
def before(empty: Engine) -> Engine:
    """A database of revision 0001 with three servers: one being built, one being unwound, one being
    deleted."""
    upgrade(empty, "0001")
    metadata = MetaData()
    metadata.reflect(empty)
    moment = datetime.fromisoformat(MOMENT)
    common = {"created_at": moment, "updated_at": None}
    with empty.begin() as connection:

        def add(table: str, **values: object) -> None:
            known = metadata.tables[table]
            filled = {c.name: _filler(c) for c in known.columns if not c.nullable}
            connection.execute(known.insert().values({**filled, **common_of(known), **values}))

        def common_of(table: Table) -> dict[str, object]:
            return {name: value for name, value in common.items() if name in table.columns}

        add("projects", id="p", name="p")
        add("users", id="u", name="u")
        add("hypervisors", id="h", name="h", last_seen_at=moment)
        for server, pipeline, state in (
            ("built", "create", "running"),
            ("unwound", "create", "unwinding"),
            ("deleted", "delete", "running"),
        ):
            add("servers", id=server, project_id="p", user_id="u", hypervisor_id="h")
            add(
                "runs",
                id=f"r-{server}",
                server_id=server,
                pipeline=pipeline,
                state=state,
                attempt=1,
                deadline=moment,
                published_at=moment,
            )
            add("attempts", run_id=f"r-{server}", number=1, started_at=moment, state="running")
            add("allocations", server_id=server, hypervisor_id="h", run_id=f"r-{server}")
    return empty


def _filler(column: Column[Any]) -> object:
    kinds: dict[type, object] = {int: 0, float: 0.0, bool: False, dict: {}, str: ""}
    return kinds.get(column.type.python_type, {})


def rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_what_was_under_way_goes_on_after_the_upgrade(before: Engine) -> None:
    upgrade(before)

    query = (
        "SELECT server_id, pipeline, state, hypervisor_id, undoes_run_id, undoes_attempt"
        " FROM runs ORDER BY server_id"
    )
    assert rows(before, query) == [
        ("built", "create", "running", "h", None, None),
        ("deleted", "delete", "running", "h", None, None),
        ("unwound", "unwind", "running", "h", "r-unwound", 1),
    ]
    assert rows(before, "SELECT id FROM runs WHERE published_at IS NULL") == [("r-unwound",)]
    assert rows(before, "SELECT id FROM runs WHERE lease_until <> created_at") == []
    assert rows(before, "SELECT id FROM servers WHERE hypervisor_id IS NULL") == [("unwound",)]


def test_server_may_hold_room_on_two_hosts_after_the_upgrade(before: Engine) -> None:
    upgrade(before)

    with make_sessions(before).begin() as session:
        session.add(Hypervisor(id="i", number=1, name="i"))
        session.flush()
        room = {"run_id": "r-built", "attempt": 2, "vcpus": 1, "memory_mib": 1, "disk_gib": 1}
        session.add(Allocation(server_id="built", hypervisor_id="i", **room))
    assert len(rows(before, "SELECT * FROM allocations WHERE server_id = 'built'")) == 2


def test_rows_survive_the_way_down_and_up_again(before: Engine) -> None:
    upgrade(before)
    downgrade(before, "0001")
    assert rows(before, "SELECT id FROM runs WHERE state = 'running' ORDER BY id") == [
        ("r-built",),
        ("r-deleted",),
    ]
    assert rows(before, "SELECT count(*) FROM allocations") == [(2,)]

    upgrade(before)
    assert rows(before, "SELECT hypervisor_id FROM runs WHERE id = 'r-built'") == [("h",)]


@pytest.fixture
def of_0002(empty: Engine) -> Engine:
    """A database of revision 0002 with a network, and a server's port on it."""
    upgrade(empty, "0002")
    metadata = MetaData()
    metadata.reflect(empty)
    with empty.begin() as connection:

        def add(table: str, **values: object) -> None:
            known = metadata.tables[table]
            filled = {c.name: _filler(c) for c in known.columns if not c.nullable}
            if "created_at" in filled:
                filled["created_at"] = datetime.fromisoformat(MOMENT)
            connection.execute(known.insert().values({**filled, **values}))

        add("projects", id="p", name="p")
        add("users", id="u", name="u")
        add("images", id="i", project_id="p", properties={"hw_disk_bus": "scsi"})
        add("servers", id="s", project_id="p", user_id="u", image_id="i")
        add("servers", id="t", project_id="p", user_id="u", image_id="gone")
        add("request_specs", server_id="s")
        add("request_specs", server_id="t")
        add("networks", id="n", project_id="p", mtu=1500)
        block = {"cidr": "10.9.0.0/24", "gateway": "10.9.0.1", "next_address": 168361994}
        pool = {"first_address": "10.9.0.2", "last_address": "10.9.0.254"}
        add("subnets", id="b", network_id="n", **block, **pool)
        holder = {"project_id": "p", "network_id": "n", "server_id": "s"}
        add("ports", id="o", subnet_id="b", mac="m", address="10.9.0.7", position=0, **holder)
    return empty


def test_servers_keep_what_their_images_say(of_0002: Engine) -> None:
    upgrade(of_0002)

    with make_sessions(of_0002)() as session:
        assert session.get_one(RequestSpec, "s").image_words == {"hw_disk_bus": "scsi"}
        assert session.get_one(RequestSpec, "t").image_words == {}


def test_networks_and_addresses_are_carried_over(of_0002: Engine) -> None:
    upgrade(of_0002)

    with make_sessions(of_0002)() as session:
        port = session.get_one(Port, "o")
        assert [(held.subnet_id, held.address) for held in port.addresses] == [("b", "10.9.0.7")]
        assert (port.server_id, port.is_owners, port.port_security) == ("s", False, True)
        subnet = session.get_one(Subnet, "b")
        assert subnet.pools == [{"start": "10.9.0.2", "end": "10.9.0.254"}]
        assert (subnet.gateway, subnet.host_address) == ("10.9.0.1", "10.9.0.1")
        assert (subnet.network.kind, subnet.network.vni, subnet.network.mtu) == ("nat", None, 1500)


def test_networks_and_addresses_survive_the_way_down_and_up_again(of_0002: Engine) -> None:
    upgrade(of_0002)
    downgrade(of_0002, "0002")
    query = "SELECT p.address, s.first_address, s.last_address, s.gateway FROM ports p, subnets s"
    assert rows(of_0002, query) == [("10.9.0.7", "10.9.0.2", "10.9.0.254", "10.9.0.1")]

    upgrade(of_0002)
    assert rows(of_0002, "SELECT address, port_id FROM port_addresses") == [("10.9.0.7", "o")]


def test_ports_that_were_open_stay_open(of_0002: Engine) -> None:
    upgrade(of_0002)

    query = (
        "SELECT g.project_id, r.direction, r.ip_version FROM security_group_rules r"
        " JOIN security_groups g ON g.id = r.security_group_id"
        " JOIN port_security_groups m ON m.security_group_id = g.id"
        " WHERE m.port_id = 'o' AND r.protocol_number IS NULL AND r.remote_prefix IS NULL"
        " AND r.remote_group_id IS NULL ORDER BY r.direction, r.ip_version"
    )
    assert rows(of_0002, query) == [
        ("p", "egress", 4),
        ("p", "egress", 6),
        ("p", "ingress", 4),
        ("p", "ingress", 6),
    ]
    assert rows(of_0002, "SELECT default_of FROM security_groups") == [(None,)]


def test_hosts_that_were_there_have_everything_to_learn(before: Engine) -> None:
    upgrade(before)

    ((revision, carried_out),) = rows(
        before,
        "SELECT s.revision, h.fabric_carried_out FROM fabric_states s"
        " JOIN hypervisors h ON h.id = s.hypervisor_id",
    )
    assert carried_out == 0
    assert isinstance(revision, int)
    assert revision > 0


def test_who_is_logged_in_stays_so(before: Engine) -> None:
    upgrade(before, "0010")
    insert = (
        "INSERT INTO tokens (digest, audit_id, user_id, project_id, issued_at, expires_at)"
        " VALUES (:d, :a, :u, :p, :moment, :moment)"
    )
    with before.begin() as connection:
        connection.execute(text(insert), {"d": "d", "a": "a", "u": "u", "p": "p", "moment": MOMENT})

    upgrade(before)

    with make_sessions(before)() as session:
        token = session.get_one(Token, "d")
        assert (token.methods, token.first_audit_id) == (["password"], None)
        assert (token.user.deleted_at, token.application_credential_id) == (None, None)
