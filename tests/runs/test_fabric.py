"""What hosts have to learn: noted with each change, settled for the hosts that it concerns, sent
until it is carried out."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update

from app.db.models import (
    FabricChange,
    FabricState,
    FixedAddress,
    Hypervisor,
    Network,
    Port,
    PortSecurityGroup,
    RequestSpec,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    Subnet,
)
from app.db.models.base import new_id, now
from app.db.repo import fabric as repo
from app.db.session import Sessions, reading
from app.runs import fabric
from app.runs.checkpoint import end
from app.runs.settle import settle
from app.services import placement
from tasks.messages import Fabric, FirewallSpec
from tests.publishers import NoPublisher
from tests.rows import World, add_host, add_server, make_settings, make_world
from tests.runs.test_checkpoint import job_for

SETTINGS = make_settings()


@dataclass
class Outbox(NoPublisher):
    """A publisher that only remembers."""

    orders: list[Fabric] = field(default_factory=list)
    nudges: int = 0

    def fabric_changed(self) -> None:
        self.nudges += 1

    def fabric(self, order: Fabric) -> None:
        self.orders.append(order)


@dataclass
class Scene:
    """Hosts with a server each, all of one network; h1 and h2 in `front`, h3 in `back`, which lets
    `front` in; h4 in nothing."""

    sessions: Sessions
    world: World
    hosts: dict[str, str]
    front: str
    back: str
    ports: dict[str, str]

    def turn(self) -> dict[str, Fabric]:
        """Settle; return what was sent, by host."""
        outbox = Outbox()
        with self.sessions.begin() as session:
            # As if the tick in which hosts are spared were over.
            session.execute(update(FabricState).values(sent_at=now() - timedelta(seconds=2)))
        settle(self.sessions, outbox, SETTINGS)
        assert len({order.host for order in outbox.orders}) == len(outbox.orders)
        return {order.host: order for order in outbox.orders}

    def carry_out(self, orders: dict[str, Fabric]) -> None:
        """Let the hosts say that they have carried out what they were sent."""
        with self.sessions.begin() as session:
            for order in orders.values():
                host = session.get_one(Hypervisor, self.hosts[order.host])
                host.fabric_carried_out = order.revision
                host.last_seen_at = now()

    def add_rule(self, group_id: str, **facts: Any) -> None:
        """Add a rule, as the API does."""
        with self.sessions.begin() as session:
            session.add(_rule(group_id, self.world, **facts))
            fabric.note_rules(session, group_id)


def _rule(group_id: str, world: World, **facts: Any) -> SecurityGroupRule:
    return SecurityGroupRule(
        security_group_id=group_id,
        project_id=world.project_id,
        **{"direction": "ingress", "ip_version": 4, **facts},
    )


def _group(sessions: Sessions, world: World, name: str) -> str:
    with sessions.begin() as session:
        group = SecurityGroup(id=new_id(), project_id=world.project_id, name=name)
        session.add(group)
        return group.id


def put_on(
    sessions: Sessions, world: World, host_id: str | None, groups: list[str], address: str
) -> str:
    """Write an active server with a port in these groups; return the port's id."""
    with sessions.begin() as session:
        run = add_server(session, world, SETTINGS, hypervisor_id=host_id)
        end(session, run, "done", now())
        port = Port(
            id=new_id(),
            project_id=world.project_id,
            network_id=world.network_id,
            server_id=run.server_id,
            mac=f"fa:16:3e:00:00:{int(address.rpartition('.')[2]):02x}",
        )
        session.add(port)
        session.flush()
        subnet = session.scalars(select(Subnet).where(Subnet.network_id == world.network_id)).one()
        session.add(FixedAddress(subnet_id=subnet.id, address=address, port_id=port.id))
        session.add_all(PortSecurityGroup(port_id=port.id, security_group_id=g) for g in groups)
        return port.id


@pytest.fixture
def scene(sessions: Sessions) -> Scene:
    """Everything has been told and carried out."""
    world = make_world(sessions)
    hosts = {
        name: add_host(sessions, name, host_ip=f"192.0.2.{n}")
        for n, name in enumerate(("h1", "h2", "h3", "h4"), 1)
    }
    front, back = _group(sessions, world, "front"), _group(sessions, world, "back")
    with sessions.begin() as session:
        session.add(_rule(back, world, protocol_number=6, remote_group_id=front))
    groups = {"h1": [front], "h2": [front], "h3": [back], "h4": []}
    ports = {
        name: put_on(sessions, world, hosts[name], groups[name], f"10.9.0.{n}")
        for n, name in enumerate(hosts, 11)
    }
    made = Scene(sessions, world, hosts, front, back, ports)
    made.carry_out(made.turn())
    return made


# --- whom a change concerns ---------------------------------------------------------------------


def test_nothing_is_sent_for_nothing(scene: Scene) -> None:
    assert scene.turn() == {}


def test_rule_concerns_hosts_with_ports_in_its_group(scene: Scene) -> None:
    scene.add_rule(scene.front, protocol_number=6, port_min=22, port_max=22)

    sent = scene.turn()

    assert sent.keys() == {"h1", "h2"}
    (group,) = sent["h1"].firewall.groups
    assert group.group_id == scene.front
    assert [(rule.protocol, rule.port_min) for rule in group.rules] == [(6, 22)]


def test_member_concerns_hosts_whose_rules_name_its_group(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        session.add(PortSecurityGroup(port_id=scene.ports["h4"], security_group_id=scene.front))
        fabric.note_members(session, [scene.front])
        fabric.note_host(session, scene.hosts["h4"])

    sent = scene.turn()

    assert sent.keys() == {"h3", "h4"}
    assert sent["h3"].firewall.members == {scene.front: ["10.9.0.11", "10.9.0.12", "10.9.0.14"]}
    assert sent["h4"].ports[0].groups == [scene.front]


def test_network_concerns_hosts_with_ports_on_it(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        session.get_one(Network, scene.world.network_id).vni = 5000
        fabric.note_network(session, scene.world.network_id)

    sent = scene.turn()

    assert sent.keys() == {"h1", "h2", "h3", "h4"}
    (network,) = sent["h2"].networks
    assert network.overlay is not None
    assert network.overlay.peers == ["192.0.2.1", "192.0.2.3", "192.0.2.4"]


def test_servers_end_concerns_those_who_let_it_in(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        server_id = session.get_one(Port, scene.ports["h1"]).server_id
        server = session.get_one(Server, str(server_id))
        run = add_server(session, scene.world, SETTINGS)
        run.server_id, run.pipeline, server.hypervisor_id = server.id, "delete", None
        end(session, run, "done", now())

    sent = scene.turn()

    assert sent["h3"].firewall.members == {scene.front: ["10.9.0.12"]}
    assert "h1" not in sent


def test_allowed_address_pairs_are_members_too(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        port = session.get_one(Port, scene.ports["h1"])
        port.address_pairs = [{"ip_address": "10.50.0.0/24"}]
        fabric.note_members(session, [scene.front])

    members = scene.turn()["h3"].firewall.members[scene.front]

    assert members == ["10.50.0.0/24", "10.9.0.11", "10.9.0.12"]


def test_servers_that_meet_learn_of_each_other(sessions: Sessions) -> None:
    """Each is placed by a transaction that does not see the other one."""
    world = make_world(sessions)
    hosts = {name: add_host(sessions, name, vcpus=1) for name in ("h1", "h2")}
    group = _group(sessions, world, "both")
    with sessions.begin() as session:
        session.add(_rule(group, world, remote_group_id=group))
        runs = [add_server(session, world, make_settings()) for _ in hosts]
        for run in runs:
            session.get_one(RequestSpec, run.server_id).security_group_ids = [group]
    settings = make_settings(cpu_overcommit=1.0)
    with ThreadPoolExecutor(2) as pool:
        jobs = [job_for(sessions, run.id) for run in runs]
        list(pool.map(lambda job: placement.place(sessions, settings, job), jobs))
    outbox = Outbox()

    settle(sessions, outbox, SETTINGS)

    members = [order.firewall.members[group] for order in outbox.orders]
    assert len(members) == 2
    assert members[0] == members[1]
    assert len(members[0]) == 2


# --- what is told ---------------------------------------------------------------------------------


def test_build_and_fabric_tell_the_same(scene: Scene) -> None:
    with reading(scene.sessions) as session:
        port = session.get_one(Port, scene.ports["h3"])
        specs = fabric.specs(session, [port])
        brought = fabric.firewall_of(session, scene.hosts["h3"], specs)
        told = fabric.build(session, scene.hosts["h3"], "h3", brought.revision)

    assert told.firewall == brought
    assert told.ports == specs
    assert brought.members == {scene.front: ["10.9.0.11", "10.9.0.12"]}


def test_no_word_of_an_owner_reaches_a_host(scene: Scene) -> None:
    hostile = '"; flush ruleset; "\n\x1b'
    with scene.sessions.begin() as session:
        for group in session.scalars(select(SecurityGroup)):
            group.name = group.description = hostile
            group.tags = [hostile]
        for thing in (*session.scalars(select(Network)), *session.scalars(select(Port))):
            thing.name = thing.description = hostile
        session.add(
            _rule(
                scene.front,
                scene.world,
                protocol=hostile,
                protocol_number=6,
                remote_prefix="10.1.2.3/8",
                description=hostile,
            )
        )
        fabric.note_rules(session, scene.front)

    told = scene.turn()["h1"]

    assert hostile not in json.dumps(told.model_dump(), ensure_ascii=False)
    assert "flush" not in told.model_dump_json()
    assert told.firewall.groups[0].rules[0].remote_prefix == "10.0.0.0/8"


def test_server_on_its_way_out_is_not_told_of(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        session.execute(update(Server).values(delete_requested_at=now()))
    with reading(scene.sessions) as session:
        told = fabric.build(session, scene.hosts["h1"], "h1", 1)

    assert (told.ports, told.firewall.groups) == ([], [])


def test_group_without_members_lets_nobody_in(scene: Scene) -> None:
    empty = _group(scene.sessions, scene.world, "empty")
    scene.add_rule(scene.back, remote_group_id=empty)

    assert scene.turn()["h3"].firewall.members[empty] == []


# --- how it is sent -------------------------------------------------------------------------------


def test_burst_of_changes_is_one_message_to_a_host(scene: Scene) -> None:
    for port in range(1, 101):
        scene.add_rule(scene.front, protocol_number=6, port_min=port, port_max=port)

    sent = scene.turn()

    assert sent.keys() == {"h1", "h2"}
    assert len(sent["h1"].firewall.groups[0].rules) == 100
    assert scene.turn() == {}


def test_host_that_was_told_a_moment_ago_is_told_a_tick_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Outbox()
    monkeypatch.setattr("app.runs.settle.FABRIC_TICK_S", 0.0)
    scene.add_rule(scene.front, protocol_number=6)
    settle(scene.sessions, outbox, SETTINGS)
    told = len(outbox.orders)
    # Longer than the test takes on the slowest machine.
    monkeypatch.setattr("app.runs.settle.FABRIC_TICK_S", 600.0)
    scene.add_rule(scene.front, protocol_number=17)

    settle(scene.sessions, outbox, SETTINGS)

    assert len(outbox.orders) == told > 0
    assert outbox.nudges >= 1
    monkeypatch.undo()
    assert len(scene.turn()["h1"].firewall.groups[0].rules) == 2


def test_what_was_lost_is_sent_again_after_the_host_has_spoken(scene: Scene) -> None:
    scene.add_rule(scene.front)
    lost = scene.turn()

    assert scene.turn() == {}
    heard(scene, "h1", timedelta(seconds=4))
    again = scene.turn()

    assert again.keys() == {"h1"}
    assert again["h1"].revision == lost["h1"].revision
    heard(scene, "h1", timedelta(seconds=4))
    assert scene.turn() == {}, "the pauses grow"


def heard(scene: Scene, host: str, after: timedelta) -> None:
    """Let a host speak so long after it was told."""
    with scene.sessions.begin() as session:
        state = session.get_one(FabricState, scene.hosts[host])
        assert state.resend_at is not None
        state.resend_at -= after
        session.get_one(Hypervisor, scene.hosts[host]).last_seen_at = now()


def test_what_is_carried_out_is_not_sent_again(scene: Scene) -> None:
    scene.add_rule(scene.front)
    scene.carry_out(scene.turn())
    for host in ("h1", "h2"):
        heard(scene, host, timedelta(hours=1))

    assert scene.turn() == {}


def test_worker_that_lost_its_memory_is_told_again(scene: Scene) -> None:
    with scene.sessions.begin() as session:
        session.get_one(Hypervisor, scene.hosts["h1"]).fabric_carried_out = 0
        repo.send_anew(session, scene.hosts["h1"], now())
    with scene.sessions.begin() as session:
        session.get_one(Hypervisor, scene.hosts["h1"]).last_seen_at = now()

    assert scene.turn().keys() == {"h1"}


def test_silent_host_is_told_when_it_is_back(scene: Scene) -> None:
    def seen(moment: datetime) -> None:
        with scene.sessions.begin() as session:
            session.get_one(Hypervisor, scene.hosts["h1"]).last_seen_at = moment

    seen(now() - timedelta(minutes=5))
    scene.add_rule(scene.front)
    assert scene.turn().keys() == {"h2"}

    seen(now())
    assert scene.turn().keys() == {"h1"}


def test_database_that_was_put_back_overtakes_its_hosts(scene: Scene) -> None:
    future = int((now() + timedelta(days=1)).timestamp() * 1000)
    with scene.sessions.begin() as session:
        session.get_one(Hypervisor, scene.hosts["h1"]).fabric_carried_out = future

    assert scene.turn()["h1"].revision > future


def test_message_of_one_host_that_fails_keeps_no_other_waiting(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add_rule(scene.front)
    build = fabric.build

    def broken(session: Any, hypervisor_id: str, host: str, revision: int) -> Fabric:
        if host == "h1":
            raise RuntimeError("no luck")
        return build(session, hypervisor_id, host, revision)

    monkeypatch.setattr("app.runs.settle.build", broken)

    assert scene.turn().keys() == {"h2"}


def test_settlers_and_changes_never_wait_for_each_other_for_good(scene: Scene) -> None:
    """Many change, several settle: all gets through, and every host knows it all in the end."""
    outbox, stop = Outbox(), threading.Event()

    def settle_on() -> None:
        while not stop.is_set():
            settle(scene.sessions, outbox, SETTINGS)

    def change(number: int) -> None:
        group = scene.front if number % 2 else scene.back
        scene.add_rule(group, protocol_number=6, port_min=number, port_max=number)
        with scene.sessions.begin() as session:
            fabric.note_network(session, scene.world.network_id)

    with ThreadPoolExecutor(6) as pool:
        settlers = [pool.submit(settle_on) for _ in range(2)]
        list(pool.map(change, range(1, 41)))
        stop.set()
        for settler in settlers:
            settler.result(30)
    scene.turn()

    with reading(scene.sessions) as session:
        assert session.scalars(select(FabricChange)).all() == []
        for name, host_id in scene.hosts.items():
            state = session.get_one(FabricState, host_id)
            assert state.sent_revision == state.revision, name


def test_number_of_queries_does_not_grow(scene: Scene) -> None:
    def statements() -> int:
        seen: list[str] = []
        engine = scene.sessions.kw["bind"]
        event.listen(engine, "before_cursor_execute", listener := _listener(seen))
        with reading(scene.sessions) as session:
            fabric.build(session, scene.hosts["h3"], "h3", 1)
        event.remove(engine, "before_cursor_execute", listener)
        return len(seen)

    few = statements()
    for number in range(50, 90):
        group = _group(scene.sessions, scene.world, str(number))
        scene.add_rule(group, remote_group_id=scene.front)
        put_on(scene.sessions, scene.world, scene.hosts["h3"], [group], f"10.9.0.{number}")

    assert statements() == few
    assert few <= 14


def _listener(seen: list[str]) -> Any:
    def note(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    return note


# --- a build's own firewall -----------------------------------------------------------------------


def test_build_brings_the_groups_of_its_ports(sessions: Sessions) -> None:
    world = make_world(sessions)
    host = add_host(sessions, "h1")
    group = _group(sessions, world, "web")
    with sessions.begin() as session:
        session.add(_rule(group, world, remote_group_id=group))
        run = add_server(session, world, SETTINGS)
        session.get_one(RequestSpec, run.server_id).security_group_ids = [group]

    build = placement.place(sessions, SETTINGS, job_for(sessions, run.id)).build

    (port,) = build.ports
    assert port.groups == [group]
    assert [each.group_id for each in build.firewall.groups] == [group]
    assert build.firewall.members == {group: [port.addresses[0].address]}
    with reading(sessions) as session:
        assert build.firewall.revision == session.get_one(FabricState, host).revision
        kinds = {(row.kind, row.subject_id) for row in session.scalars(select(FabricChange))}
    assert kinds == {("members", group), ("network", world.network_id)}


def test_network_without_port_security_has_no_groups(sessions: Sessions) -> None:
    world = make_world(sessions)
    add_host(sessions, "h1")
    with sessions.begin() as session:
        session.get_one(Network, world.network_id).port_security = False
        run = add_server(session, world, SETTINGS)
        group = SecurityGroup(id=new_id(), project_id=world.project_id, name="g")
        session.add(group)
        session.get_one(RequestSpec, run.server_id).security_group_ids = [group.id]

    build = placement.place(sessions, SETTINGS, job_for(sessions, run.id)).build

    assert (build.ports[0].security, build.ports[0].groups) == (False, [])
    assert build.firewall == FirewallSpec(revision=build.firewall.revision)
