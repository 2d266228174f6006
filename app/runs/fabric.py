"""What hosts have to learn of networks and security groups: noted with each change, and put
together for one host. app.runs.settle finds the hosts that a change concerns, and tells them.

Whoever changes something notes it in the same transaction, as a row of its own that nobody waits
for: two changes never lock each other out, however many hosts they concern, and neither has to see
the other. After the commit it nudges the control side (Publisher.fabric_changed).
"""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy.orm import Session

from app.db.models import FloatingIp, Port, Server
from app.db.repo import fabric as repo
from app.db.repo import routers, security_groups
from app.db.repo.fabric import HOST, MEMBERS, NETWORK, RULES
from app.runs.networks_spec import network_specs
from app.runs.routing_spec import routing_of
from app.runs.values import network_prefix, port_spec
from tasks.messages import Fabric, FirewallSpec, GroupSpec, PortSpec, RuleSpec

# --- noting --------------------------------------------------------------------------------------


def note_rules(session: Session, group_id: str) -> None:
    """A group's rules have changed: hosts of its ports must learn of it."""
    repo.note(session, RULES, [group_id])


def note_members(session: Session, group_ids: Iterable[str]) -> None:
    """Ports have come into groups, left them, or changed addresses: hosts of ports in groups whose
    rules name these must learn of it."""
    repo.note(session, MEMBERS, group_ids)


def note_network(session: Session, network_id: str) -> None:
    """A network, or one of its subnets, has changed: hosts of its ports must learn of it."""
    repo.note(session, NETWORK, [network_id])


def note_host(session: Session, hypervisor_id: str) -> None:
    """Something about a host's own ports has changed."""
    repo.note(session, HOST, [hypervisor_id])


def note_placed(session: Session, ports: Sequence[PortSpec]) -> None:
    """A server's ports have come to a host."""
    note_members(session, {group for port in ports for group in port.groups})
    repo.note(session, NETWORK, {port.network_id for port in ports})
    # Whatever host had its floating IPs before, this one has to learn of them.
    routers.tell_anew(session, FloatingIp.port_id.in_([port.port_id for port in ports]))


def note_router(session: Session, router_id: str) -> None:
    """A router, or what it is on, has changed: hosts of the ports that it leads to must learn of
    it, and its floating IPs are not active before they have."""
    repo.note(session, NETWORK, routers.networks_of(session, router_id))
    routers.tell_anew(session, FloatingIp.router_id == router_id)


def note_port(session: Session, port: Port) -> None:
    """A port has come to a floating IP, or lost one: its host must learn of it."""
    server = session.get(Server, port.server_id) if port.server_id else None
    if server is not None and server.hypervisor_id is not None:
        note_host(session, server.hypervisor_id)


def note_server(session: Session, server_id: str) -> None:
    """A server's ports are about to be removed."""
    note_members(session, repo.groups_of_server(session, server_id))
    repo.note(session, NETWORK, repo.networks_of_server(session, server_id))


def note_moved(session: Session, hypervisor_id: str) -> None:
    """A host has another address: the others on its networks must learn of it."""
    repo.note(session, NETWORK, repo.networks_on_host(session, hypervisor_id))


# --- building ------------------------------------------------------------------------------------


def build(session: Session, hypervisor_id: str, host: str, revision: int) -> Fabric:
    """Return all that a host has to know. `revision` was read before."""
    rows = repo.ports_on(session, hypervisor_id)
    ports = specs(session, rows)
    firewall = _firewall(session, hypervisor_id, ports, revision, with_remotes=True)
    needed = {row.network_id for row in rows} | needed_networks(firewall)
    networks = network_specs(session, needed, hypervisor_id)
    return Fabric(
        host=host,
        revision=revision,
        # Hosts know things by their ids; what an owner called them is none of their business.
        networks=[each.model_copy(update={"name": each.network_id}) for each in networks],
        ports=ports,
        firewall=firewall,
    )


def needed_networks(firewall: FirewallSpec) -> set[str]:
    """Return the networks that a host needs beside those of its ports: those that its routers lead
    to, and those on operators' bridges that its floating IPs are of."""
    led_to = [subnet for router in firewall.routing.routers for subnet in router.subnets]
    return {subnet.network_id for subnet in led_to} | bridges_of_floating(firewall)


def bridges_of_floating(firewall: FirewallSpec) -> set[str]:
    """Return the networks on operators' bridges that floating IPs are of."""
    floating = firewall.routing.floating
    return {one.external.network_id for one in floating if one.external.physical_network}


def specs(session: Session, ports: Sequence[Port]) -> list[PortSpec]:
    """Return ports as hosts see them, with the ids of their groups."""
    groups = security_groups.of_ports(session, [port.id for port in ports])
    return [
        port_spec(port).model_copy(update={"groups": groups.get(port.id, [])}) for port in ports
    ]


def firewall_of(
    session: Session, hypervisor_id: str | None, ports: Sequence[PortSpec]
) -> FirewallSpec:
    """Return what a host has to know of the groups of some of its ports."""
    revision = repo.revision(session, hypervisor_id) if hypervisor_id else 0
    # How other hosts' guests are reached is told by the fabric that follows.
    return _firewall(session, hypervisor_id, ports, revision, with_remotes=False)


def _firewall(
    session: Session,
    hypervisor_id: str | None,
    ports: Sequence[PortSpec],
    revision: int,
    *,
    with_remotes: bool,
) -> FirewallSpec:
    routing = routing_of(session, hypervisor_id, ports, with_remotes=with_remotes)
    needed = {group for port in ports for group in port.groups}
    if not needed:
        return FirewallSpec(revision=revision, routing=routing)
    known = repo.groups(session, needed)
    rules: dict[str, list[RuleSpec]] = {group_id: [] for group_id, _ in known}
    for group_id, *facts in repo.rules(session, needed):
        if group_id in rules:
            rules[group_id].append(_rule(*facts))
    named = {rule.remote_group for found in rules.values() for rule in found} - {None}
    return FirewallSpec(
        revision=revision,
        groups=[
            GroupSpec(group_id=group_id, stateful=stateful, rules=rules[group_id])
            for group_id, stateful in known
        ],
        members=_members(session, {group for group in named if group is not None}),
        routing=routing,
    )


def _rule(
    direction: str,
    version: int,
    protocol: int | None,
    port_min: int | None,
    port_max: int | None,
    prefix: str | None,
    remote_group: str | None,
) -> RuleSpec:
    return RuleSpec.parse(
        {
            "direction": direction,
            "version": version,
            "protocol": protocol,
            "port_min": port_min,
            "port_max": port_max,
            "remote_prefix": network_prefix(prefix),
            "remote_group": remote_group,
        }
    )


def _members(session: Session, group_ids: Collection[str]) -> dict[str, list[str]]:
    """A group without members is told too: what nobody is in lets nobody in."""
    found: dict[str, set[str]] = {group_id: set() for group_id in group_ids}
    if found:
        for group_id, address in repo.members(session, group_ids):
            found[group_id].add(address)
    return {group_id: sorted(found[group_id]) for group_id in sorted(found)}
