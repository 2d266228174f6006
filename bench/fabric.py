"""What it costs to tell a host of its security groups: 500 ports in 51 groups with 500 rules, one
group of 1,000 members over two hosts among them."""

import argparse
import itertools
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import event, select, update

from app.db.models import (
    Base,
    FabricState,
    FixedAddress,
    Hypervisor,
    Network,
    Port,
    PortSecurityGroup,
    Project,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    Subnet,
    User,
)
from app.db.models.base import new_id, now
from app.db.repo import fabric as repo
from app.db.session import Sessions, make_engine, make_sessions, reading
from app.runs import fabric
from app.runs.settle import settle
from bench.plane import database, summary
from config.settings import ControlSettings
from tasks.messages import Fabric
from tests.publishers import NoPublisher

PORTS_A_HOST, GROUPS, RULES_A_GROUP = 500, 50, 10
ROUNDS = 20


class _Weighing(NoPublisher):
    """A publisher that weighs what it is given to send, which is nothing but orders."""

    def __init__(self) -> None:
        self.bytes: list[int] = []

    def fabric(self, order: Fabric) -> None:
        """Weigh it as it would be sent."""
        self.bytes.append(len(order.model_dump_json()))


def run_fabric(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure building one host's fabric, and settling a change that concerns two hosts."""
    with ExitStack() as stack:
        engine = make_engine(stack.enter_context(database(options.database, directory)))
        stack.callback(engine.dispose)
        Base.metadata.create_all(engine)
        sessions = make_sessions(engine)
        hosts, groups = _fill(sessions)
        statements = _Statements(engine)
        host_id = next(iter(hosts))
        builds = [_build(sessions, host_id, statements) for _ in range(ROUNDS)]
        settled, sizes = _settle(sessions, groups[-1])
        return {
            "database": options.database,
            "ports": PORTS_A_HOST,
            "groups": len(groups),
            "rules": len(groups) * RULES_A_GROUP,
            "members": PORTS_A_HOST * len(hosts),
            "build_ms": summary([seconds for seconds, _ in builds]),
            "build_statements": statistics.median(count for _, count in builds),
            "message_kib": round(max(sizes) / 1024, 1),
            "settle_two_hosts_ms": summary(settled),
            "burst_100_changes": _burst(sessions, groups[-1]),
        }


class _Statements:
    """Counts what is sent to the database."""

    def __init__(self, engine: Any) -> None:
        self.count = 0
        event.listen(engine, "before_cursor_execute", self._one)

    def _one(self, *_: Any) -> None:
        self.count += 1


def _build(sessions: Sessions, host_id: str, statements: _Statements) -> tuple[float, int]:
    before, began = statements.count, time.perf_counter()
    with reading(sessions) as session:
        revision = repo.revision(session, host_id)
        fabric.build(session, host_id, "h", revision).model_dump()
    return time.perf_counter() - began, statements.count - before


def _settle(sessions: Sessions, group_id: str) -> tuple[list[float], list[int]]:
    took, publisher = [], _Weighing()
    for _ in range(ROUNDS // 2):
        _note(sessions, group_id, 1)
        began = time.perf_counter()
        settle(sessions, publisher, _settings())
        took.append(time.perf_counter() - began)
    return took, publisher.bytes


def _burst(sessions: Sessions, group_id: str) -> dict[str, float]:
    publisher = _Weighing()
    _note(sessions, group_id, 100)
    began = time.perf_counter()
    settle(sessions, publisher, _settings())
    return {
        "ms": round((time.perf_counter() - began) * 1000, 1),
        "messages": len(publisher.bytes),
    }


def _note(sessions: Sessions, group_id: str, count: int) -> None:
    """Change a group, after the tick in which hosts are spared."""
    for _ in range(count):
        with sessions.begin() as session:
            fabric.note_rules(session, group_id)
    with sessions.begin() as session:
        session.execute(update(FabricState).values(sent_at=None))


def _settings() -> ControlSettings:
    return ControlSettings.model_validate({"secret_key": "s" * 40})


def _fill(sessions: Sessions) -> tuple[dict[str, str], list[str]]:
    """Write two hosts full of servers; return the hosts, and the groups, the one of all last."""
    with sessions.begin() as session:
        project = Project(
            id=new_id(), name="p", quota_servers=-1, quota_vcpus=-1, quota_memory_mib=-1
        )
        user = User(id=new_id(), name="u", password_hash="-")
        hosts = [
            Hypervisor(id=new_id(), number=n, name=f"h{n}", host_ip=f"192.0.2.{n}") for n in (1, 2)
        ]
        session.add_all([project, user, *hosts])
        session.flush()
        network = Network(id=new_id(), project_id=project.id, name="n", vni=5000)
        session.add(network)
        session.flush()
        subnet = Subnet(network_id=network.id, cidr="10.0.0.0/16", gateway="10.0.0.1")
        groups = [
            SecurityGroup(id=new_id(), project_id=project.id, name=str(n))
            for n in range(GROUPS + 1)
        ]
        session.add_all([subnet, *groups])
        session.flush()
        ids = [group.id for group in groups]
        for host in hosts:
            repo.begin(session, host.id, now())
        session.add_all(_rule(project.id, group, n) for group in ids for n in range(RULES_A_GROUP))
        numbers = itertools.count(2)
        for host in hosts:
            for _ in range(PORTS_A_HOST):
                _add_server(session, project.id, user.id, host.id, subnet, ids, next(numbers))
    with reading(sessions) as session:
        return {row.id: row.name for row in session.scalars(select(Hypervisor))}, ids


def _rule(project_id: str, group_id: str, number: int) -> SecurityGroupRule:
    """The first rule of each group lets the group itself in."""
    return SecurityGroupRule(
        security_group_id=group_id,
        project_id=project_id,
        direction="ingress",
        ip_version=4,
        protocol_number=6,
        port_min=number or None,
        port_max=number or None,
        remote_group_id=None if number else group_id,
    )


def _add_server(
    session: Any,
    project_id: str,
    user_id: str,
    host_id: str,
    subnet: Subnet,
    groups: list[str],
    number: int,
) -> None:
    server = Server(
        id=new_id(),
        project_id=project_id,
        user_id=user_id,
        name=f"s{number}",
        hostname=f"s{number}",
        flavor_id="42",
        vcpus=1,
        memory_mib=1,
        root_gib=1,
        image_id=new_id(),
        hypervisor_id=host_id,
    )
    port = Port(
        id=new_id(),
        project_id=project_id,
        network_id=subnet.network_id,
        server_id=server.id,
        mac=f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
    )
    session.add(server)
    session.flush()
    session.add(port)
    session.flush()
    address = f"10.0.{number >> 8}.{number & 255}"
    session.add(FixedAddress(subnet_id=subnet.id, address=address, port_id=port.id))
    for group_id in (groups[number % GROUPS], groups[-1]):
        session.add(PortSecurityGroup(port_id=port.id, security_group_id=group_id))
