"""Ports as their owners make, see, change and remove them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Network, Port, Subnet
from app.db.repo import addresses, routers, security_groups
from app.db.repo import networks as repo
from app.db.repo.paging import Facts
from app.db.session import added, reading
from app.runs import fabric
from app.runs.networks_spec import PROVIDER
from app.scheduling.addresses import (
    AddressTaken,
    Wish,
    default_wishes,
    give_addresses,
    new_mac,
    new_port,
)
from app.services import cidrs, network_quotas, port_groups
from app.services.context import Caller, Context
from app.services.network_errors import (
    InvalidInput,
    IpAddressInUse,
    MacAddressInUse,
    NoAddressLeft,
    PortInUse,
    PortNotFound,
)
from app.services.network_views import PortView, port_view
from app.services.networks import check_attachable, own_project, owns, seen
from app.services.security_groups import see_to_default
from config.settings import ControlSettings
from tasks.errors import Conflict, Forbidden, NoFreeAddress

MAX_ADDRESSES, MAX_PAIRS = 5, 10
#: How often a MAC is drawn that another port may have.
MAC_TRIES = 5

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")

#: (subnet's id, address): either may be left to us, not both.
Fixed = tuple[str | None, str | None]


@dataclass(frozen=True)
class NewPort:
    """A port as it was asked for. `fixed` None is an address of each IP version; `port_security`
    None is as its network says."""

    network_id: str
    name: str = ""
    description: str = ""
    project_id: str | None = None
    admin_state_up: bool = True
    mac: str | None = None
    fixed: Sequence[Fixed] | None = None
    port_security: bool | None = None
    pairs: Sequence[Mapping[str, Any]] = ()
    #: Ids; None is the project's default group, if it has port security.
    security_groups: Sequence[str] | None = None
    device_id: str = ""
    device_owner: str = ""
    dns_name: str = ""


def list_ports(context: Context, caller: Caller, facts: Facts) -> list[PortView]:
    """Return the ports of the caller's project that have one of the values for each fact."""
    with reading(context.sessions) as session:
        found = repo.ports(session, caller.sees, facts)
        groups = security_groups.of_ports(session, [row.id for row, _ in found])
        return [port_view(row, host, groups.get(row.id, ())) for row, host in found]


def get(context: Context, caller: Caller, port_id: str) -> PortView:
    """Return a port. Raises PortNotFound."""
    for view in list_ports(context, caller, {"id": [port_id]}):
        return view
    raise PortNotFound(port_id)


def of_server(context: Context, server_id: str) -> list[PortView]:
    """Return a server's ports in the order of its interfaces."""
    with reading(context.sessions) as session:
        return [port_view(row) for row in addresses.ports_of(session, server_id)]


def create(context: Context, caller: Caller, new: NewPort) -> PortView:
    """Make a port. Raises NetworkNotFound, Forbidden, InvalidInput, OverQuota, MacAddressInUse,
    IpAddressInUse, NoAddressLeft, NotFound, Conflict."""
    default = see_to_default(context, own_project(caller, new.project_id))
    with context.sessions.begin() as session:
        found = repo.network(session, new.network_id, lock=True)
        network = seen(found, caller, new.network_id)
        check_attachable(caller, network)
        _check_rights(caller, network, new.mac, new.port_security, new.pairs)
        project_id = own_project(caller, new.project_id)
        network_quotas.check(session, project_id, "port")
        row = _write(session, network, project_id, new)
        locked = addresses.lock_subnets(session, {network.id})
        subnets = locked[network.id]
        wishes = default_wishes(subnets)
        if new.fixed is not None:
            may_route = owns(caller, network) and network.kind != PROVIDER
            wishes = [
                replace(wish, as_gateway=may_route) for wish in read_wishes(subnets, new.fixed)
            ]
        take(session, row, wishes, locked, context.settings)
        if new.security_groups is not None:
            port_groups.replace(session, caller, row, new.security_groups)
        elif row.port_security:
            port_groups.replace(session, caller, row, [default])
        view = port_view(row, groups=port_groups.of(session, row))
    context.publisher.fabric_changed()
    return view


def update(context: Context, caller: Caller, port_id: str, changes: Mapping[str, Any]) -> PortView:
    """Change a port; `changes` are columns, and `fixed` are its addresses.
    Raises PortNotFound, Forbidden, InvalidInput, PortInUse, MacAddressInUse, IpAddressInUse,
    NoAddressLeft, NotFound, Conflict."""
    with context.sessions.begin() as session:
        row = lock_owned(session, caller, port_id)
        _check_not_networks_own(row)
        facts = dict(changes)
        _check_rights(
            caller,
            row.network,
            _unless(facts.get("mac"), row.mac),
            _unless(facts.get("port_security"), row.port_security),
            _unless(facts.get("address_pairs"), row.address_pairs) or (),
        )
        _check_server_keeps(row, facts)
        groups = facts.pop("security_groups", None)
        _take_anew(session, row, facts.pop("fixed", None), context.settings)
        for name, value in _checked(session, row, facts).items():
            setattr(row, name, value)
        if row.address_pairs and not row.port_security:
            raise Conflict(
                "Port Security must be enabled in order to have allowed address pairs on a port."
            )
        if groups is not None:
            port_groups.replace(session, caller, row, groups)
        port_groups.check(session, row)
        row.revision += 1
        session.flush()
        _tell_hosts(session, row)
        view = port_view(row, groups=port_groups.of(session, row))
    context.publisher.fabric_changed()
    return view


def delete(context: Context, caller: Caller, port_id: str) -> None:
    """Remove a port; its addresses rest. Raises PortNotFound, PortInUse."""
    with context.sessions.begin() as session:
        row = lock_owned(session, caller, port_id)
        if row.server_id is not None:
            raise PortInUse(
                f"Port {port_id} cannot be deleted: it is an interface of server {row.server_id}."
            )
        _check_not_networks_own(row)
        fabric.note_members(session, port_groups.of(session, row))
        addresses.delete_ports(session, [port_id])
    context.publisher.fabric_changed()


def lock_owned(session: Session, caller: Caller, port_id: str) -> Port:
    """Return a port of the caller's, locked. Raises PortNotFound."""
    row = repo.lock_port(session, port_id)
    if row is None or not (caller.is_admin or row.project_id == caller.project_id):
        raise PortNotFound(port_id)
    return row


def _tell_hosts(session: Session, row: Port) -> None:
    """The host of a server's port is to keep it to something else from now on; others know its
    addresses, and what else it may send from, as its groups' members."""
    fabric.note_members(session, port_groups.of(session, row))
    fabric.note_port(session, row)


# --- addresses -----------------------------------------------------------------------------------


def read_wishes(
    subnets: Sequence[Subnet], fixed: Sequence[Fixed], field: str = "fixed_ips"
) -> list[Wish]:
    """Return which addresses are meant, of the subnets of one network. Raises InvalidInput."""
    if len(fixed) > MAX_ADDRESSES:
        raise InvalidInput(f"{field}: more than {MAX_ADDRESSES} of them.")
    wishes = [_wish(subnets, subnet_id, address, field) for subnet_id, address in fixed]
    named = [wish for wish in wishes if wish.address is not None]
    if len(set(named)) < len(named):
        raise InvalidInput(f"{field}: one address is named twice.")
    return wishes


def _wish(
    subnets: Sequence[Subnet], subnet_id: str | None, address: str | None, field: str
) -> Wish:
    if subnet_id is None and address is None:
        raise InvalidInput(f"{field}: each must name subnet_id or ip_address.")
    if subnet_id is not None and subnet_id not in [subnet.id for subnet in subnets]:
        raise InvalidInput(f"{field}: subnet {subnet_id} is not one of the port's network.")
    if address is None:
        return Wish(str(subnet_id))
    wanted = cidrs.read_address(address, field)
    for subnet in subnets:
        block = ip_network(subnet.cidr)
        if subnet_id in (None, subnet.id) and wanted in block:
            cidrs.check_inside(wanted, block, field)
            return Wish(subnet.id, str(wanted))
    where = f"subnet {subnet_id}" if subnet_id else "any of the subnets on the specified network"
    raise InvalidInput(f"{field}: {wanted} is not a valid IP for {where}.")


def take(
    session: Session,
    row: Port,
    wishes: Sequence[Wish],
    locked: dict[str, list[Subnet]],
    settings: ControlSettings,
) -> None:
    """Give a port addresses. Raises IpAddressInUse, NoAddressLeft."""
    try:
        give_addresses(session, row, wishes, locked, settings)
    except AddressTaken as error:
        raise IpAddressInUse(error.public) from error
    except NoFreeAddress as error:
        raise NoAddressLeft(error.public) from error


def _take_anew(
    session: Session, row: Port, fixed: Sequence[Fixed] | None, settings: ControlSettings
) -> None:
    """What the port has and is to have stays; the rest is given back before it takes more."""
    if fixed is None:
        return
    locked = addresses.lock_subnets(session, {row.network_id})
    wishes = read_wishes(locked[row.network_id], fixed)
    left = [(held.subnet_id, held.address) for held in row.addresses]
    missing = []
    # Certain ones first: what is "any of the subnet" may be one that is left.
    for wish in sorted(wishes, key=lambda wish: wish.address is None):
        kept = [h for h in left if h[0] == wish.subnet_id and wish.address in (None, h[1])]
        if kept:
            left.remove(kept[0])
        else:
            missing.append(wish)
    if (left or missing) and row.server_id is not None:
        raise _in_use(row, "fixed_ips")
    floating = routers.addresses_of_ports(session, [row.id]).get(row.id, [])
    if {one.fixed_address for one in floating} & {address for _, address in left}:
        raise PortInUse(f"fixed_ips: a floating IP stands for an address of port {row.id}.")
    for held in left:
        addresses.give_back(session, [row.id], held)
    session.expire(row, ["addresses"])
    if missing:
        take(session, row, missing, locked, settings)
    session.refresh(row, ["addresses"])


# --- checks --------------------------------------------------------------------------------------


def read_mac(text: str) -> str:
    """Return a MAC as we write it. Raises InvalidInput."""
    mac = text.strip().lower().replace("-", ":")
    if not _MAC.fullmatch(mac) or mac == "00:00:00:00:00:00":
        raise InvalidInput(f"mac_address: {text[:40]!r} is no MAC address.")
    if int(mac[:2], 16) & 1:
        raise InvalidInput(f"mac_address: {mac} is for a group of interfaces, not for one.")
    return mac


def read_pairs(pairs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what else a port may send from. Raises InvalidInput."""
    if len(pairs) > MAX_PAIRS:
        raise InvalidInput(f"allowed_address_pairs: more than {MAX_PAIRS} of them.")
    found = []
    for pair in pairs:
        block = cidrs.read_prefix(pair.get("ip_address"), "allowed_address_pairs")
        # A single address is shown without a prefix, as it was given.
        text = str(block) if "/" in str(pair["ip_address"]) else str(block.network_address)
        mac = pair.get("mac_address")
        found.append({"ip_address": text, **({"mac_address": read_mac(mac)} if mac else {})})
    if any(found.count(pair) > 1 for pair in found):
        raise InvalidInput("allowed_address_pairs: one is named twice.")
    return found


def _write(session: Session, network: Network, project_id: str, new: NewPort) -> Port:
    row = new_port(network, project_id)
    row.is_owners = True
    row.name, row.description, row.dns_name = new.name, new.description, new.dns_name
    row.admin_state_up = new.admin_state_up
    row.device_id = new.device_id
    row.device_owner = _device_owner(new.device_owner)
    if new.port_security is not None:
        row.port_security = new.port_security
    row.address_pairs = read_pairs(new.pairs)
    if row.address_pairs and not row.port_security:
        raise InvalidInput("allowed_address_pairs: only with port_security_enabled true.")
    if new.mac is not None:
        row.mac = read_mac(new.mac)
    for _ in range(MAC_TRIES):
        if added(session, row):
            return row
        if new.mac is not None:
            break
        row.mac = new_mac()
    raise MacAddressInUse(f"Another port has the MAC {row.mac}.")


def _device_owner(text: str) -> str:
    """Neutron's own services use these words, and clients take such ports for theirs."""
    if text.startswith("network:"):
        raise Forbidden("device_owner: network:* is for the network's own services.")
    return text


def _check_not_networks_own(row: Port) -> None:
    """What was made for a router or a floating IP goes with it, and is changed by it."""
    if row.device_owner.startswith("network:"):
        raise PortInUse(
            f"Port {row.id} cannot be changed or deleted directly via the port API: has device"
            f" owner {row.device_owner}."
        )


def _check_rights(
    caller: Caller,
    network: Network,
    mac: str | None,
    port_security: bool | None,  # noqa: FBT001 - a column's new value
    pairs: Sequence[Mapping[str, Any]],
) -> None:
    """On another's network nobody chooses what others there could mistake for themselves."""
    if owns(caller, network):
        return
    chosen = {
        "mac_address": mac is not None,
        "port_security_enabled": port_security is False,
        "allowed_address_pairs": bool(pairs),
    }
    for field, is_chosen in chosen.items():
        if is_chosen:
            raise Forbidden(f"Policy doesn't allow {field} on a network of another project.")


def _unless(new: Any, old: Any) -> Any:
    return None if new == old else new


#: What a host was told of a server's interface when it was made.
_TOLD = {"mac": "mac_address", "device_id": "device_id", "device_owner": "device_owner"}


def _check_server_keeps(row: Port, facts: dict[str, Any]) -> None:
    """Clients send what they read along with what they change."""
    if row.server_id is None:
        return
    now = {"mac": row.mac, "device_id": row.server_id, "device_owner": facts.get("device_owner")}
    for column, field in _TOLD.items():
        if facts.pop(column, now[column]) != now[column]:
            raise _in_use(row, field)


def _in_use(row: Port, field: str) -> PortInUse:
    return PortInUse(
        f"{field}: port {row.id} is an interface of server {row.server_id}, which keeps it."
    )


def _checked(session: Session, row: Port, facts: dict[str, Any]) -> dict[str, Any]:
    if facts.get("mac") is not None:
        facts["mac"] = read_mac(facts["mac"])
        if facts["mac"] != row.mac and repo.has_mac(session, facts["mac"]):
            raise MacAddressInUse(f"Another port has the MAC {facts['mac']}.")
    if "address_pairs" in facts:
        facts["address_pairs"] = read_pairs(facts["address_pairs"] or ())
    if "device_owner" in facts:
        _device_owner(facts["device_owner"])
    return facts
