"""What a new server hangs on: networks of which it gets a port of its own, addresses that it is to
have there, and ports that its owner made before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Network, Port, Project, RequestSpec, Server
from app.db.repo import networks
from app.services import auto_topology
from app.services.context import Caller
from app.services.network_errors import AutoAllocationFailure
from app.services.networks import check_attachable
from app.services.ports import read_wishes
from config.settings import ControlSettings
from tasks.errors import Conflict, OverQuota, QuotaExceeded, RequestError

#: Where the request spec's hints keep the addresses and tags that were asked for, by position.
FIXED, TAGS = "fixed_addresses", "interface_tags"


#: Instead of a list of interfaces: the one network that the project has, or gets; or none at all.
AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class Interface:
    """An interface as it was asked for: a network, perhaps with an address there, or a port."""

    network_id: str | None = None
    address: str | None = None
    port_id: str | None = None
    #: By which the guest is to know it.
    tag: str = ""


@dataclass(frozen=True)
class Interfaces:
    """All of a server's: their networks in order, and by position what is certain of them."""

    network_ids: list[str]
    fixed: dict[str, str] = field(default_factory=dict)
    ports: dict[int, Port] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    #: The project has none to choose, and wants one all the same.
    is_missing: bool = False

    def hints(self) -> dict[str, Any]:
        """Return what the request spec keeps of it."""
        kept = {FIXED: self.fixed, TAGS: self.tags}
        return {name: by_position for name, by_position in kept.items() if by_position}


def resolve(session: Session, caller: Caller, wanted: Sequence[Interface] | str) -> Interfaces:
    """Return what was asked for, its ports locked. Nothing: the one network that the project has,
    if it has one; AUTO: the same, or one that is to be made. Raises RequestError, Conflict."""
    if wanted == NONE:
        return Interfaces([])
    if isinstance(wanted, str) or not wanted:
        chosen = _the_one(session, caller)
        return Interfaces(chosen, is_missing=wanted == AUTO and not chosen)
    ports = _lock_ports(session, caller, [each.port_id for each in wanted if each.port_id])
    named = {each.network_id for each in wanted if each.network_id and not each.port_id}
    usable = _usable(session, caller, named)
    found = Interfaces([])
    for position, each in enumerate(wanted):
        if each.tag:
            found.tags[str(position)] = each.tag
        if each.port_id is not None:
            port = ports[each.port_id]
            found.ports[position] = port
            found.network_ids.append(port.network_id)
            continue
        network = usable.get(each.network_id or "")
        if network is None:
            raise RequestError(f"networks: network {each.network_id} could not be found.")
        if each.address is not None:
            found.fixed[str(position)] = _free(session, network, each.address)
        found.network_ids.append(network.id)
    _check_twice(found)
    return found


def completed(
    session: Session, settings: ControlSettings, project: Project, interfaces: Interfaces
) -> Interfaces:
    """Return the interfaces with the network that was missing, made now for the project. The
    project is locked. Raises RequestError, QuotaExceeded."""
    if not interfaces.is_missing:
        return interfaces
    try:
        return Interfaces([auto_topology.ensure(session, settings, project.id)])
    except AutoAllocationFailure as error:
        raise RequestError(
            f"Unable to automatically allocate a network for project {project.id}"
        ) from error
    except OverQuota as error:
        raise QuotaExceeded(error.public) from error


def check_count(interfaces: Interfaces, count: int) -> None:
    """Several servers cannot share what there is once. Raises RequestError."""
    if count > 1 and (interfaces.ports or interfaces.fixed):
        raise RequestError(
            "networks: a port or a fixed_ip cannot be given to several servers; ask for one."
        )


def fitting(
    session: Session, project: Project, interfaces: Interfaces, *, least: int, most: int
) -> int:
    """Return how many servers there may be, for the ports that are to be made for each. The project
    is locked. Raises QuotaExceeded."""
    each = len(interfaces.network_ids) - len(interfaces.ports)
    if not each or project.quota_ports < 0:
        return most
    room = max(0, project.quota_ports - networks.used(session, project.id, "port"))
    if room < least * each:
        raise QuotaExceeded("Maximum number of ports exceeded")
    return min(most, room // each)


def attach(server: Server, interfaces: Interfaces) -> None:
    """Hang the owner's ports on the server; its row is there."""
    for position, port in interfaces.ports.items():
        take(port, server, position, interfaces.tags.get(str(position), ""))


def take(port: Port, server: Server, position: int, tag: str) -> None:
    """Hang an owner's port on a server."""
    port.server_id, port.position, port.tag, port.seen_at = server.id, position, tag, None
    port.revision += 1


def fixed_of(spec: RequestSpec) -> dict[int, str]:
    """Return the addresses that were asked for, by position."""
    return {int(position): address for position, address in spec.hints.get(FIXED, {}).items()}


def tag_made(spec: RequestSpec, ports: Sequence[Port]) -> None:
    """Give ports that were made for a new server the tags that were asked for."""
    for port in ports:
        port.tag = spec.hints.get(TAGS, {}).get(str(port.position), port.tag)


def _the_one(session: Session, caller: Caller) -> list[str]:
    usable = networks.usable_ids(session, caller.project_id, 2)
    if len(usable) > 1:
        raise Conflict("Multiple possible networks found, use a Network ID to be more specific.")
    for network_id, has_subnet in usable:
        _check_subnet(network_id, has_subnet)
    return [network_id for network_id, _ in usable]


def _check_subnet(network_id: str, has_subnet: bool) -> None:  # noqa: FBT001 - a fact, no switch
    if not has_subnet:
        raise RequestError(
            f"networks: network {network_id} requires a subnet in order to boot instances on."
        )


def _usable(session: Session, caller: Caller, named: Collection[str]) -> dict[str, Network]:
    found = {row.id: row for row in networks.networks(session, caller.project_id, {"id": named})}
    for row in found.values():
        check_attachable(caller, row)
        _check_subnet(row.id, bool(row.subnets))
    return found


def _lock_ports(session: Session, caller: Caller, port_ids: Sequence[str]) -> dict[str, Port]:
    """Always in the same order: no two can wait for each other."""
    found: dict[str, Port] = {}
    if len(set(port_ids)) < len(port_ids):
        raise RequestError("networks: a port is named twice.")
    for port_id in sorted(port_ids):
        port = networks.lock_port(session, port_id)
        if port is None or not (caller.is_admin or port.project_id == caller.project_id):
            raise RequestError(f"networks: port {port_id} could not be found.")
        if port.server_id is not None or port.device_id:
            raise Conflict(f"Port {port_id} is still in use.")
        if any(held.address == held.subnet.gateway for held in port.addresses):
            raise Conflict(f"Port {port_id} has its subnet's gateway address: it is for a router.")
        if not port.addresses:
            raise RequestError(f"networks: port {port_id} requires a FixedIP in order to be used.")
        found[port_id] = port
    return found


def _free(session: Session, network: Network, address: str) -> str:
    (wish,) = read_wishes(network.subnets, [(None, address)], "networks.fixed_ip")
    taken = networks.held(session, wish.subnet_id, [str(wish.address)])
    own = [(subnet.gateway, subnet.host_address) for subnet in network.subnets]
    if taken or any(wish.address in pair for pair in own):
        raise RequestError(f"networks: fixed_ip {wish.address} is already in use.")
    return str(wish.address)


def _check_twice(found: Interfaces) -> None:
    named = {(found.network_ids[int(at)], address) for at, address in found.fixed.items()}
    if len(named) < len(found.fixed):
        raise RequestError("networks: a fixed_ip is named twice.")


def physical_networks(session: Session, network_ids: Collection[str]) -> tuple[str, ...]:
    """Return the physical networks that a host must have for these networks."""
    return tuple(networks.physical_names(session, network_ids))
