"""Security groups by real packets: namespaces as guests on the bridges of a real libvirt."""

import itertools
import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from tasks.errors import HostError
from tasks.messages import (
    AddressPair,
    FirewallSpec,
    GroupSpec,
    NetworkSpec,
    PortAddress,
    PortSpec,
    RuleSpec,
    SubnetSpec,
)
from tests.drivers.conftest import Rig, by_hand
from tests.drivers.libvirtd import PrivateHost
from tests.drivers.namespaces import Namespace, NamespaceGuest, hears, run
from workers.hypervisor.libvirt.firewall import cuts
from workers.hypervisor.libvirt.firewall.kernel import marker
from workers.hypervisor.names import bridge_name

pytestmark = pytest.mark.lab

_COUNT = itertools.count(1)
_NETWORKS = itertools.count(1)
_REVISION = itertools.count(1)

TCP, UDP, ICMP = 6, 17, 1


def rule(direction: str, **more: object) -> RuleSpec:
    """Return a rule; of IPv4 unless told otherwise."""
    return RuleSpec.parse({"direction": direction, "version": 4, **more})


OPEN_OUT = [rule("egress"), rule("egress", version=6)]
OPEN_IN = [rule("ingress"), rule("ingress", version=6)]


def group(*rules: RuleSpec, **more: object) -> GroupSpec:
    """Return a new group."""
    return GroupSpec(group_id=str(uuid.uuid4()), rules=list(rules), **more)  # type: ignore[arg-type]


@dataclass
class Site:
    """Networks and guests of one test on the host under test."""

    rig: Rig
    host: str
    networks: list[NetworkSpec] = field(default_factory=list)
    guests: list[NamespaceGuest] = field(default_factory=list)
    ports: dict[str, PortSpec] = field(default_factory=dict)
    groups: dict[str, GroupSpec] = field(default_factory=dict)

    def network(self, kind: str = "nat") -> NetworkSpec:
        """Return a new network, of both IP versions as far as its addresses go."""
        number = next(_NETWORKS)
        spec = NetworkSpec(
            network_id=str(uuid.uuid4()),
            name="private",
            kind=kind,  # type: ignore[arg-type]
            mtu=1400,
            subnets=[
                SubnetSpec(
                    subnet_id=str(uuid.uuid4()),
                    version=4,
                    cidr=f"10.178.{number}.0/24",
                    gateway=f"10.178.{number}.1" if kind == "nat" else None,
                    host_address=f"10.178.{number}.1",
                )
            ],
        )
        self.networks.append(spec)
        return spec

    def guest(self, network: NetworkSpec, *groups: GroupSpec, **changes: object) -> NamespaceGuest:
        """Return a guest with a port in these groups."""
        count = next(_COUNT)
        v4 = network.subnets[0].cidr.replace(".0/24", f".{count + 10}")
        v6 = f"fd00:178::{count:x}"
        subnet_id = network.subnets[0].subnet_id
        port = PortSpec(
            port_id=str(uuid.uuid4()),
            network_id=network.network_id,
            mac=f"fa:16:3e:17:{count >> 8:02x}:{count & 255:02x}",
            addresses=[
                PortAddress(subnet_id=subnet_id, address=v4, prefix_length=24),
                PortAddress(subnet_id=subnet_id, address=v6, prefix_length=64),
            ],
            groups=[one.group_id for one in groups],
        ).model_copy(update=changes)
        self.rig.host.ensure_port(network, port, "guest")
        self.groups |= {one.group_id: one for one in groups}
        name = f"bg{os.getpid() % 100_000}x{count}"
        self.ports[name] = port
        self.tell(name)
        guest = NamespaceGuest(
            self.host, bridge_name(network.network_id), name, port.mac,
            [f"{v4}/24", f"{v6}/64"], network.subnets[0].gateway or "",
        )  # fmt: skip
        self.guests.append(guest)
        return guest

    def tell(self, *names: str, revision: int | None = None, **members: list[str]) -> None:
        """Tell the host of these guests' ports, and of all groups and members as they are now."""
        ports = [self.ports[name] for name in names or self.ports]
        firewall = FirewallSpec(
            revision=next(_REVISION) if revision is None else revision,
            groups=list(self.groups.values()),
            members={
                group_id: [
                    address.address
                    for port in self.ports.values()
                    if group_id in port.groups
                    for address in port.addresses
                ]
                for group_id in self.groups
            },
        )
        self.rig.host.ensure_firewall(firewall, ports)

    def change(self, old: GroupSpec, *rules: RuleSpec) -> None:
        """Give a group other rules, and tell the host."""
        self.groups[old.group_id] = old.model_copy(update={"rules": list(rules)})
        self.tell()

    def remove(self) -> None:
        """Leave nothing behind."""
        for guest in self.guests:
            guest.remove()
        server_id = str(uuid.uuid4())
        self.rig.host.remove_ports(server_id, list(self.ports.values()))


@pytest.fixture
def site(libvirt_rig: Rig, private_host: PrivateHost) -> Iterator[Site]:
    """Give an empty site; the host's switch for all bridges is off, as where nobody set it."""
    for name in ("iptables", "ip6tables"):
        run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{name}=0")
    made = Site(libvirt_rig, private_host.name)
    try:
        yield made
    finally:
        made.remove()
        with by_hand(private_host.uri) as handle:
            for network in made.networks:
                found = handle.networkLookupByUUIDString(network.network_id)
                found.destroy()
                found.undefine()


def has_table() -> bool:
    """Say whether the host has our table."""
    told = json.loads(run("nft", "-j", "list", "tables"))["nftables"]
    return any(one.get("table", {}).get("name") == "byre_firewall" for one in told)


def test_only_what_is_allowed_arrives(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80, port_max=81), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    v4, v6 = server.addresses
    server.serve(80), server.serve(82)
    datagrams = server.serve(80, socket.SOCK_DGRAM)
    assert client.reaches(v4, 80)
    assert client.reaches(v4, 81)
    assert not client.reaches(v4, 82)
    assert not client.reaches(v6, 80)
    assert not client.pings(v4)
    assert not client.pings(v6)
    assert not client.sends(datagrams, v4, 80)
    # The other way round nothing is allowed, but answers were.
    client.serve(80)
    assert not server.reaches(client.addresses[0], 80)


def test_udp_and_icmp_of_both_versions_arrive_where_allowed(site: Site) -> None:
    network = site.network()
    allowed = group(
        rule("ingress", protocol=UDP, port_min=53),
        rule("ingress", protocol=ICMP, port_min=8, port_max=0),
        rule("ingress", version=6, protocol=ICMP, port_min=128),
        rule("ingress", version=6, protocol=TCP, port_min=80),
        *OPEN_OUT,
    )
    server, client = site.guest(network, allowed), site.guest(network, group(*OPEN_OUT))
    v4, v6 = server.addresses
    server.serve(80)
    named, other = server.serve(53, socket.SOCK_DGRAM), server.serve(54, socket.SOCK_DGRAM)
    assert client.sends(named, v4, 53)
    assert not client.sends(other, v4, 54)
    assert not client.sends(named, v6, 53)
    assert client.pings(v4)
    assert client.pings(v6)
    assert client.reaches(v6, 80)
    assert not client.reaches(v4, 80)


def test_what_leaves_is_kept_to_the_egress_rules(site: Site) -> None:
    network = site.network()
    only_dns = group(rule("egress", protocol=UDP, port_min=53))
    server, client = site.guest(network, group(*OPEN_IN)), site.guest(network, only_dns)
    v4, v6 = server.addresses
    server.serve(80)
    named = server.serve(53, socket.SOCK_DGRAM)
    assert client.sends(named, v4, 53)
    assert not client.sends(named, v6, 53)
    assert not client.reaches(v4, 80)
    assert not client.pings(v4)


def test_a_port_without_groups_gets_nothing_through(site: Site) -> None:
    network = site.network()
    server, client = site.guest(network), site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    server.serve(80), client.serve(80)
    assert not client.reaches(server.addresses[0], 80)
    assert not server.reaches(client.addresses[0], 80)


def test_a_group_that_is_not_known_allows_nothing(site: Site) -> None:
    network = site.network()
    unknown = str(uuid.uuid4())
    server = site.guest(network, groups=[unknown])
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    assert not client.reaches(server.addresses[0], 80)


def test_a_port_without_security_is_kept_to_nothing(site: Site) -> None:
    network = site.network()
    server = site.guest(network, security=False)
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    assert client.reaches(server.addresses[0], 80)


def test_what_was_told_before_there_were_groups_stays_open(site: Site) -> None:
    network = site.network()
    server, client = site.guest(network, grouped=False), site.guest(network, grouped=False)
    server.serve(80)
    assert client.reaches(server.addresses[0], 80)


def test_members_of_a_group_come_and_go(site: Site) -> None:
    network = site.network()
    friends = group(*OPEN_OUT)
    server_group = group(
        rule("ingress", protocol=TCP, port_min=80, remote_group=friends.group_id), *OPEN_OUT
    )
    server = site.guest(network, server_group)
    client = site.guest(network, friends)
    stranger = site.guest(network, group(*OPEN_OUT))
    v4 = server.addresses[0]
    server.serve(80)
    site.tell()
    assert client.reaches(v4, 80)
    assert not stranger.reaches(v4, 80)
    port = site.ports[stranger.name]
    site.ports[stranger.name] = port.model_copy(update={"groups": [friends.group_id]})
    site.tell(server.name, stranger.name)
    assert stranger.reaches(v4, 80)
    site.ports[client.name] = port.model_copy(
        update={**dict(site.ports[client.name]), "groups": []}
    )
    site.tell()
    assert not client.reaches(v4, 80)


def test_a_removed_rule_cuts_what_it_allowed_and_nothing_else(site: Site) -> None:
    network = site.network()
    both = [rule("ingress", protocol=TCP, port_min=number) for number in (80, 81)]
    web = group(*both, *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    ends = {}
    for number in (80, 81):
        listener = server.serve(number)
        near = client.connect(server.addresses[0], number)
        far, _ = server.accept(listener)
        assert near is not None
        ends[number] = (near, far)
        near.send(b"before")
        assert hears(far, b"before")
    site.change(web, both[1], *OPEN_OUT)
    for near, far in ends.values():
        near.send(b"after")
        far.send(b"answer")
    assert not hears(ends[80][1], b"after")
    # Not half of it either: the side whose egress is open does not begin it anew.
    assert not hears(ends[80][0], b"answer")
    assert hears(ends[81][1], b"after")
    assert hears(ends[81][0], b"answer")
    # Allowed again, it goes on.
    site.change(web, *both, *OPEN_OUT)
    assert hears(ends[80][1], b"after", 5)


def test_a_connection_is_cut_when_its_other_side_leaves_the_group(site: Site) -> None:
    network = site.network()
    friends = group(*OPEN_OUT)
    inner = group(rule("ingress", remote_group=friends.group_id), *OPEN_OUT)
    server, client = site.guest(network, inner), site.guest(network, friends)
    site.tell()
    listener = server.serve(80)
    near = client.connect(server.addresses[0], 80)
    far, _ = server.accept(listener)
    assert near is not None
    port = site.ports[client.name]
    other = group(*OPEN_OUT)
    site.groups[other.group_id] = other
    site.ports[client.name] = port.model_copy(update={"groups": [other.group_id]})
    site.tell()
    near.send(b"after")
    assert not hears(far, b"after")


def test_an_older_revision_changes_nothing_but_brings_new_ports(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    site.change(web, *OPEN_OUT)
    site.groups[web.group_id] = web
    site.tell(revision=1)
    assert not client.reaches(server.addresses[0], 80)


def test_answers_need_a_rule_where_the_group_is_stateless(site: Site) -> None:
    network = site.network()
    stateless = group(rule("egress", protocol=TCP, port_min=80), stateful=False)
    server, client = site.guest(network, group(*OPEN_IN)), site.guest(network, stateless)
    server.serve(80)
    assert not client.reaches(server.addresses[0], 80)
    site.change(stateless, *stateless.rules, rule("ingress", protocol=TCP))
    assert client.reaches(server.addresses[0], 80)


def test_what_the_host_begins_needs_a_rule_too(site: Site, private_host: PrivateHost) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80))
    server = site.guest(network, web)
    server.serve(80), server.serve(81)
    for number, arrives in ((80, True), (81, False)):
        # The rig's thread is in the host's own network.
        own = socket.socket()
        own.settimeout(0.7)
        assert (own.connect_ex((server.addresses[0], number)) == 0) is arrives
        own.close()


def test_guests_reach_on_the_host_only_what_is_theirs(site: Site) -> None:
    near, far = site.network(), site.network()
    client = site.guest(near, group(*OPEN_OUT))
    site.guest(far, group(*OPEN_OUT))
    own, other = (str(network.subnets[0].host_address) for network in (near, far))
    run("ip", "address", "replace", "169.254.169.254/32", "dev", "lo")
    listeners: list[socket.socket] = []
    try:
        listeners += [socket.create_server(("", number)) for number in (22, 80)]
        assert client.pings(own)
        assert client.reaches(own, 53)
        assert client.reaches("169.254.169.254", 80)
        assert not client.reaches("169.254.169.254", 22)
        assert not client.reaches(own, 22)
        assert not client.reaches(own, 80)
        assert not client.reaches(other, 22)
        assert not client.reaches(other, 53)
        assert not client.pings(other)
    finally:
        for listener in listeners:
            listener.close()
        run("ip", "address", "delete", "169.254.169.254/32", "dev", "lo")


@pytest.mark.parametrize("kind", ["nat", "isolated"])
def test_networks_do_not_reach_each_other_by_the_host(site: Site, kind: str) -> None:
    open_both = group(*OPEN_OUT, *OPEN_IN)
    client = site.guest(site.network(), open_both)
    server = site.guest(site.network(kind), open_both)
    server.serve(80)
    assert not client.reaches(server.addresses[0], 80)
    assert not client.pings(server.addresses[0])


def test_an_address_pair_is_the_ports_too(site: Site) -> None:
    network = site.network()
    v4 = network.subnets[0].cidr.replace(".0/24", "")
    pairs = [AddressPair(address=f"{v4}.200"), AddressPair(address="198.51.100.0/24")]
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server = site.guest(network, web, pairs=pairs)
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80), server.serve(81)
    for address in (f"{v4}.200/32", "198.51.100.7/32"):
        run("ip", "-n", server.name, "address", "add", address, "dev", "eth0")
    run("ip", "-n", client.name, "route", "add", "198.51.100.0/24", "dev", "eth0")
    for address in (f"{v4}.200", "198.51.100.7"):
        assert client.reaches(address, 80), address
        assert not client.reaches(address, 81), address


def test_a_router_guest_sends_and_gets_for_others(site: Site) -> None:
    """A prefix of everything is its own only by its own MAC: neighbours stay themselves."""
    network = site.network()
    everything = [AddressPair(address="0.0.0.0/0")]
    site.guest(network, group(), pairs=everything)
    open_both = group(*OPEN_OUT, *OPEN_IN)
    server = site.guest(network, open_both)
    server.serve(80)
    remote = site.guest(network, open_both)
    # As on another host: nothing here knows its port.
    site.rig.host.remove_ports(str(uuid.uuid4()), [site.ports.pop(remote.name)])
    assert remote.reaches(server.addresses[0], 80)


def test_rules_hold_for_what_comes_by_a_tunnel(site: Site) -> None:
    """A VXLAN device is one more port of the bridge: here with its other end in a namespace."""
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server = site.guest(network, web)
    server.serve(80), server.serve(81)
    other = f"bo{os.getpid() % 100_000}"
    v4 = network.subnets[0].cidr.replace(".0/24", ".250/24")
    remote = Namespace(other, [])
    try:
        run("ip", "netns", "add", other)
        run("ip", "link", "add", "bytun0", "type", "veth", "peer", "name", "under", "netns", other)
        run("ip", "address", "add", "192.0.2.1/30", "dev", "bytun0")
        run("ip", "link", "set", "bytun0", "up")
        run("ip", "-n", other, "address", "add", "192.0.2.2/30", "dev", "under")
        run("ip", "-n", other, "link", "set", "under", "up")
        for where, device, near, far in (
            ([], "byvx0", "192.0.2.1", "192.0.2.2"),
            (["-n", other], "eth0", "192.0.2.2", "192.0.2.1"),
        ):
            run(
                "ip", *where, "link", "add", device, "type", "vxlan", "id", "77",
                "local", near, "remote", far, "dstport", "4789",
            )  # fmt: skip
        run("ip", "link", "set", "byvx0", "master", bridge_name(network.network_id), "up")
        run("ip", "-n", other, "link", "set", "eth0", "up")
        run("ip", "-n", other, "address", "add", v4, "dev", "eth0")
        assert remote.reaches(server.addresses[0], 80)
        assert not remote.reaches(server.addresses[0], 81)
    finally:
        for device in ("byvx0", "bytun0"):
            run("ip", "link", "delete", device)
        remote.remove()


@contextmanager
def world_beyond(*more: str) -> Iterator[Namespace]:
    """Give a namespace beyond the host, which stands for the world, with these addresses too."""
    world = f"bw{os.getpid() % 100_000}"
    beyond = Namespace(world, ["203.0.113.9"])
    try:
        run("ip", "netns", "add", world)
        run("ip", "link", "add", "byout0", "type", "veth", "peer", "name", "eth0", "netns", world)
        run("ip", "address", "add", "203.0.113.1/24", "dev", "byout0")
        run("ip", "link", "set", "byout0", "up")
        run("ip", "-n", world, "address", "add", "203.0.113.9/24", "dev", "eth0")
        run("ip", "-n", world, "link", "set", "eth0", "up")
        for address in more:
            run("ip", "-n", world, "address", "add", f"{address}/32", "dev", "eth0")
            run("ip", "route", "add", f"{address}/32", "via", "203.0.113.9")
        yield beyond
    finally:
        run("ip", "link", "delete", "byout0")
        beyond.remove()


@pytest.mark.parametrize("security", [True, False])
def test_the_metadata_service_of_the_hosts_own_cloud_is_out_of_reach(
    site: Site, security: bool
) -> None:
    client = site.guest(site.network(), group(*OPEN_OUT), security=security)
    with world_beyond("169.254.169.254", "198.51.100.1") as beyond:
        beyond.serve(80)
        assert client.reaches("198.51.100.1", 80)
        assert not client.reaches("169.254.169.254", 80)


def test_what_is_routed_out_is_kept_to_the_rules(site: Site) -> None:
    """NAT included."""
    network = site.network()
    web = group(rule("egress", protocol=TCP, port_min=80))
    client = site.guest(network, web)
    with world_beyond() as beyond:
        listener = beyond.serve(80)
        beyond.serve(81)
        near = client.connect("203.0.113.9", 80)
        assert near is not None
        far, sender = beyond.accept(listener)
        assert sender[0].endswith("203.0.113.1")
        assert not client.reaches("203.0.113.9", 81)
        near.send(b"before")
        assert hears(far, b"before")
        site.change(web)
        near.send(b"after")
        far.send(b"answer")
        assert not hears(far, b"after")
        assert not hears(near, b"answer")


def test_a_flushed_table_is_noticed_and_comes_back(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    server.serve(81)
    host = site.rig.host
    spoil: list[Callable[[], str]] = [
        lambda: run("nft", "delete", "table", "inet", "byre_firewall"),
        lambda: run(
            "ip", "link", "set", "dev", bridge_name(network.network_id),
            "type", "bridge", "nf_call_iptables", "0",
        ),
    ]  # fmt: skip
    for spoiled in spoil:
        assert host.firewall_intact()
        spoiled()
        assert not host.firewall_intact()
        assert client.reaches(server.addresses[0], 81)
        host.restore_firewall()
        assert host.firewall_intact()
        assert not client.reaches(server.addresses[0], 81)


def test_cutting_that_was_interrupted_is_done_with_the_next_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=TCP, port_min=80), *OPEN_OUT)
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    listener = server.serve(80)
    near = client.connect(server.addresses[0], 80)
    assert near is not None
    far, _ = server.accept(listener)

    def killed(_: object) -> int:
        raise HostError("The worker ended here.")

    monkeypatch.setattr(cuts, "settle", killed)
    with pytest.raises(HostError):
        site.change(web, *OPEN_OUT)
    monkeypatch.undo()
    # The state as such does not change any more.
    site.tell()
    near.send(b"after")
    assert not hears(far, b"after")


def test_the_next_process_knows_what_was_told(site: Site) -> None:
    network = site.network()
    server = site.guest(network, group(*OPEN_OUT))
    client = site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    again = site.rig.reopen()
    assert again.firewall_intact()
    run("nft", "delete", "table", "inet", "byre_firewall")
    again.restore_firewall()
    assert not client.reaches(server.addresses[0], 80)


def test_a_table_that_somebody_changed_is_made_anew(site: Site, private_host: PrivateHost) -> None:
    network = site.network()
    server, client = site.guest(network, group(*OPEN_OUT)), site.guest(network, group(*OPEN_OUT))
    server.serve(80)
    run("nft", "flush", "table", "inet", "byre_firewall")
    run("nft", "delete", "chain", "inet", "byre_firewall", str(marker()))
    site.tell(client.name)
    assert not client.reaches(server.addresses[0], 80)


def test_the_last_port_takes_the_table_with_it(site: Site, private_host: PrivateHost) -> None:
    site.guest(site.network(), group(*OPEN_OUT))
    assert has_table()
    site.rig.host.remove_ports(str(uuid.uuid4()), list(site.ports.values()))
    assert not has_table()


def test_the_next_owner_of_an_address_does_not_inherit_connections(site: Site) -> None:
    network = site.network()
    web = group(rule("ingress", protocol=UDP, port_min=80))
    server, client = site.guest(network, web), site.guest(network, group(*OPEN_OUT))
    assert client.sends(server.serve(80, socket.SOCK_DGRAM), server.addresses[0], 80)
    old = site.ports[server.name]
    assert server.addresses[0] in run("conntrack", "-L")
    site.rig.host.remove_ports(str(uuid.uuid4()), [old])
    assert server.addresses[0] not in run("conntrack", "-L")


def test_neighbours_are_claimed_only_by_whoever_has_them(site: Site) -> None:
    network = site.network()
    liar, victim = site.guest(network, group(*OPEN_OUT)), site.guest(network, group(*OPEN_OUT))
    target = "fd00:178::dead"
    run("ip", "-n", victim.name, "neigh", "replace", target, "lladdr", "02:00:00:00:00:01",
        "dev", "eth0", "nud", "stale")  # fmt: skip
    for claimed, believed in ((target, False), (liar.addresses[1], True)):
        run("ip", "-n", victim.name, "neigh", "replace", claimed, "lladdr", "02:00:00:00:00:01",
            "dev", "eth0", "nud", "stale")  # fmt: skip
        advertise(liar, claimed, victim.addresses[1], site.ports[liar.name].mac)
        told = run("ip", "-n", victim.name, "neigh", "show", claimed)
        assert (site.ports[liar.name].mac in told) is believed, told


def advertise(guest: NamespaceGuest, target: str, to: str, mac: str) -> None:
    """Send a neighbour advertisement from the guest's address about another one."""
    script = (
        "import socket,sys\n"
        "target,to,mac=sys.argv[1:]\n"
        "s=socket.socket(socket.AF_INET6,socket.SOCK_RAW,socket.IPPROTO_ICMPV6)\n"
        "s.setsockopt(socket.IPPROTO_IPV6,socket.IPV6_UNICAST_HOPS,255)\n"
        "s.sendto(bytes([136,0,0,0,0x60,0,0,0])+socket.inet_pton(socket.AF_INET6,target)"
        "+bytes([2,1])+bytes.fromhex(mac.replace(':','')),(to,0))\n"
    )
    run("ip", "netns", "exec", guest.name, "python3", "-c", script, target, to, mac)


def from_port(guest: NamespaceGuest, port: int, address: str, word: bytes) -> None:
    """Send a datagram from this port to the DHCP client's at the address."""
    version, client = (6, 546) if ":" in address else (4, 68)
    sender = guest.open(socket.SOCK_DGRAM, version)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sender.bind(("::" if version == 6 else "", port))
    sender.sendto(word, (address, client))


@pytest.mark.parametrize(("server", "client", "which"), [(67, 68, 0), (547, 546, 1)])
def test_no_guest_answers_for_the_dhcp_server(
    site: Site, server: int, client: int, which: int
) -> None:
    network = site.network()
    rogue = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    victim = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    asking = victim.serve(client, socket.SOCK_DGRAM)
    for port, arrives in ((server, False), (server + 1000, True)):
        word = os.urandom(8)
        from_port(rogue, port, victim.addresses[which], word)
        assert hears(asking, word) is arrives


@pytest.mark.parametrize("fragmented", [False, True])
def test_no_guest_speaks_as_a_router(site: Site, fragmented: bool) -> None:
    """A router's advertisement or redirect, also in fragments, in which no type is seen."""
    network = site.network()
    rogue = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    victim = site.guest(network, group(*OPEN_OUT, *OPEN_IN))
    listener = victim.open(socket.SOCK_RAW, 6, socket.IPPROTO_ICMPV6)
    speaker = rogue.open(socket.SOCK_RAW, 6, socket.IPPROTO_ICMPV6)
    # The router's words have to come with this hop limit (RFC 4861, section 6.1.2).
    speaker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
    run("ip", "-n", rogue.name, "link", "set", "eth0", "mtu", str(network.mtu))
    filling = bytes(3000 if fragmented else 0)
    for kind, arrives in ((134, False), (137, False), (128, True)):
        word = os.urandom(8)
        message = bytes([kind, 0, 0, 0]) + bytes(4) + word + filling
        speaker.sendto(message, (victim.addresses[1], 0))
        assert hears(listener, word) is arrives
