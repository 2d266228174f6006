"""Networks with namespaces as guests on a host under test, and the groups of their ports."""

import itertools
import os
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.messages import (
    FirewallSpec,
    GroupSpec,
    NetworkSpec,
    PortAddress,
    PortSpec,
    RuleSpec,
    SubnetSpec,
)
from tests.drivers.namespaces import NamespaceGuest
from workers.hypervisor.names import bridge_name

if TYPE_CHECKING:
    from tests.drivers.conftest import Rig

_COUNT = itertools.count(1)
_REVISION = itertools.count(1)

TCP, UDP, ICMP = 6, 17, 1


def rule(direction: str, **more: object) -> RuleSpec:
    """Return a rule; of IPv4 unless told otherwise."""
    return RuleSpec.parse({"direction": direction, "version": 4, **more})


OPEN_OUT = [rule("egress"), rule("egress", version=6)]

OPEN_IN = [rule("ingress"), rule("ingress", version=6)]


def group(*rules: RuleSpec, **more: object) -> GroupSpec:
    """Return a new group."""
    return GroupSpec.parse({"group_id": str(uuid.uuid4()), "rules": list(rules), **more})


def make_network(kind: str, number: int) -> NetworkSpec:
    """Return a network, of both IP versions as far as its addresses go."""
    return NetworkSpec(
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


@dataclass
class Networks:
    """Networks that the tests of a module use one after the other: to make and to remove one takes
    libvirt as long as a test's packets take. Each leaves no port on them."""

    made: list[NetworkSpec] = field(default_factory=list)

    def pick(self, kind: str, used: list[NetworkSpec]) -> NetworkSpec:
        """Return one that the test does not use yet."""
        free = [one for one in self.made if one.kind == kind and one not in used]
        if not free:
            free = [make_network(kind, number=len(self.made) + 1)]
            self.made += free
        return free[0]


@dataclass
class Site:
    """Networks and guests of one test on the host under test."""

    rig: "Rig"
    host: str
    shared: Networks
    networks: list[NetworkSpec] = field(default_factory=list)
    guests: list[NamespaceGuest] = field(default_factory=list)
    ports: dict[str, PortSpec] = field(default_factory=dict)
    groups: dict[str, GroupSpec] = field(default_factory=dict)

    def network(self, kind: str = "nat") -> NetworkSpec:
        """Return another network, without a port."""
        self.networks.append(self.shared.pick(kind, self.networks))
        return self.networks[-1]

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
