"""Networks as their owners make, see, change and remove them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Network
from app.db.models.base import new_id
from app.db.repo import networks as repo
from app.db.repo import routers, topologies
from app.db.repo.paging import NO_FACTS, Facts
from app.db.session import added, reading
from app.runs import fabric
from app.runs.networks_spec import PROVIDER, UPLINK
from app.services import network_quotas
from app.services.context import Caller, Context
from app.services.network_errors import (
    DefaultExternalNetworkExists,
    InvalidInput,
    NetworkInUse,
    NetworkNotFound,
    SegmentInUse,
)
from app.services.network_views import NetworkView, network_view
from config.settings import ControlSettings
from tasks.errors import Conflict, Forbidden, NotSupported

#: The least that IPv6 works with (RFC 8200, section 5), and the most that a host's bridge is given.
MIN_MTU, MAX_MTU = 1280, 9216
PLAIN_MTU = 1500
#: How many numbers are looked at in one go, and how often, for one that no network has.
_CANDIDATES, _ROUNDS = 16, 20

VXLAN, LOCAL, FLAT, VLAN = "vxlan", "local", "flat", "vlan"
#: What is not its owner's to choose, nor to change.
OPERATORS = ("shared", "external", "is_default")


@dataclass(frozen=True)
class NewNetwork:
    """A network as it was asked for. `project_id` None is the caller's; `provider_type` None is a
    network that spans hosts, and `mtu` None what suits the type."""

    name: str = ""
    description: str = ""
    project_id: str | None = None
    shared: bool = False
    admin_state_up: bool = True
    port_security: bool = True
    mtu: int | None = None
    provider_type: str | None = None
    physical_network: str | None = None
    #: Whether routers may lead to it. Without a physical network it is the hosts' own uplinks.
    external: bool = False
    #: External only: whether routers that are made by themselves lead there.
    is_default: bool = False
    segment: int | None = None


def list_networks(context: Context, caller: Caller, facts: Facts = NO_FACTS) -> list[NetworkView]:
    """Return the networks with these facts that the caller's project may use."""
    with reading(context.sessions) as session:
        return [network_view(row) for row in repo.networks(session, caller.sees, facts)]


def get(context: Context, caller: Caller, network_id: str) -> NetworkView:
    """Return a network. Raises NetworkNotFound."""
    with reading(context.sessions) as session:
        return network_view(seen(repo.network(session, network_id), caller, network_id))


def create(context: Context, caller: Caller, new: NewNetwork) -> NetworkView:
    """Make a network. Raises InvalidInput, SegmentInUse, OverQuota, Forbidden."""
    project_id = own_project(caller, new.project_id)
    if new.provider_type or new.physical_network:
        caller.check("network:networks:create:provider")
    for name in OPERATORS:
        if getattr(new, name):
            caller.check(f"network:networks:create:{name}")
    with context.sessions.begin() as session:
        network_quotas.check(session, project_id, "network")
        row = add_network(session, context.settings, project_id, new)
        if new.is_default:
            _check_default(session, row, external=new.external)
            row.is_default = True
        session.flush()
        session.refresh(row, ["subnets"])
        return network_view(row)


def add_network(
    session: Session, settings: ControlSettings, project_id: str, new: NewNetwork
) -> Network:
    """Write a network. Raises InvalidInput, SegmentInUse."""
    kind = new.provider_type or (LOCAL if new.external else VXLAN)
    row = Network(
        id=new_id(),
        project_id=project_id,
        name=new.name,
        description=new.description,
        shared=new.shared,
        external=new.external,
        admin_state_up=new.admin_state_up,
        port_security=new.port_security,
        mtu=check_mtu(settings, kind, new.mtu),
    )
    if kind in (FLAT, VLAN):
        return _add_provider(session, row, kind, new)
    if new.physical_network is not None:
        raise InvalidInput(f"provider:physical_network: has no meaning with {kind}.")
    if kind == LOCAL:
        if new.segment is not None:
            raise InvalidInput(f"provider:segmentation_id: has no meaning with {kind}.")
        if new.external:
            row.kind = UPLINK
        session.add(row)
        return row
    if kind == VXLAN and new.external:
        raise InvalidInput(
            "provider:network_type: an external network is flat or vlan, on a bridge of the"
            " operator's, or local: the hosts' own uplinks."
        )
    if kind == VXLAN:
        return _add_spanning(session, settings, row, new.segment)
    raise InvalidInput(
        f"provider:network_type: {kind} is not supported; vxlan, vlan, flat and local are."
    )


def check_mtu(settings: ControlSettings, kind: str, mtu: int | None) -> int:
    """Return the MTU that a network of this type gets. Raises InvalidInput."""
    most = settings.network_mtu if kind == VXLAN else MAX_MTU
    if mtu is None or mtu == 0:
        return min(most, PLAIN_MTU)
    if not MIN_MTU <= mtu <= most:
        raise InvalidInput(f"mtu: {mtu} must be from {MIN_MTU} to {most} on a {kind} network.")
    return mtu


def update(
    context: Context, caller: Caller, network_id: str, changes: Mapping[str, Any]
) -> NetworkView:
    """Change a network; `changes` are columns. Raises NetworkNotFound, Forbidden, Conflict,
    InvalidInput."""
    with context.sessions.begin() as session:
        row = owned(repo.lock_network(session, network_id), caller, network_id)
        facts = dict(changes)
        external = facts.get("external", row.external)
        facts["is_default"] = facts.get("is_default", row.is_default and external)
        for name in OPERATORS:
            if facts.get(name, getattr(row, name)) != getattr(row, name):
                caller.check(f"network:networks:update:{name}")
        if facts.get("shared", row.shared) != row.shared:
            _check_sharing(session, row)
        if external != row.external:
            _check_external(session, row)
        if facts["is_default"]:
            _check_default(session, row, external=external)
        if "mtu" in facts:
            facts["mtu"] = _changed_mtu(session, context.settings, row, facts["mtu"])
        for name, value in facts.items():
            setattr(row, name, value)
        row.revision += 1
        session.flush()
        fabric.note_network(session, network_id)
        view = network_view(row)
    context.publisher.fabric_changed()
    return view


def delete(context: Context, caller: Caller, network_id: str) -> None:
    """Remove a network and its subnets. Raises NetworkNotFound, Forbidden, NetworkInUse."""
    with context.sessions.begin() as session:
        remove(session, owned(repo.lock_network(session, network_id), caller, network_id))


def remove(session: Session, row: Network) -> None:
    """Remove a network, which is locked, and its subnets. Raises NetworkInUse."""
    refusal = f"Unable to complete operation on network {row.id}."
    if count := repo.on_network(session, row.id):
        raise NetworkInUse(
            f"{refusal} There are one or more ports still in use on the network: {count}."
        )
    if routers.leads_to(session, row.id):
        raise NetworkInUse(f"{refusal} Routers lead to it.")
    repo.delete_network(session, row)


# --- who may -------------------------------------------------------------------------------------


def seen(row: Network | None, caller: Caller, network_id: str) -> Network:
    """Return the network if the caller may see it. Raises NetworkNotFound."""
    if row is None or not (row.shared or row.external or owns(caller, row)):
        raise NetworkNotFound(network_id)
    return row


def check_attachable(caller: Caller, row: Network) -> None:
    """Make sure that the caller may have ports on a network that it sees. Raises Forbidden,
    NotSupported."""
    if row.external and not row.shared and not owns(caller, row):
        raise Forbidden(f"It is not allowed to create an interface on external network {row.id}")
    if row.kind == UPLINK:
        raise NotSupported(
            f"Network {row.id} is the hosts' own uplinks, on which there are floating IPs only."
        )


def owned(row: Network | None, caller: Caller, network_id: str) -> Network:
    """Return the network if the caller may change it. Raises NetworkNotFound, Forbidden."""
    row = seen(row, caller, network_id)
    if not owns(caller, row):
        raise Forbidden("Policy doesn't allow to change a network of another project.")
    return row


def owns(caller: Caller, row: Network) -> bool:
    """Say whether the network is the caller's, or the caller an administrator."""
    return caller.is_admin or row.project_id == caller.project_id


def own_project(caller: Caller, project_id: str | None) -> str:
    """Return the project that a new thing is for. Raises Forbidden."""
    if project_id is None or project_id == caller.project_id:
        return caller.project_id
    caller.check("network:things:create:others")
    return project_id


# --- parts ---------------------------------------------------------------------------------------


def _add_provider(session: Session, row: Network, kind: str, new: NewNetwork) -> Network:
    if new.physical_network is None:
        raise InvalidInput(f"provider:physical_network: is needed with {kind}.")
    if (new.segment is not None) != (kind == VLAN):
        raise InvalidInput("provider:segmentation_id: is needed with vlan, and only there.")
    if new.segment is not None and not 1 <= new.segment <= 4094:
        raise InvalidInput("provider:segmentation_id: a VLAN is from 1 to 4094.")
    row.kind, row.physical_network, row.vlan = PROVIDER, new.physical_network, new.segment or 0
    if not added(session, row):
        raise SegmentInUse(
            f"Another network has VLAN {new.segment or 'none'} of {new.physical_network}."
        )
    return row


def _add_spanning(
    session: Session, settings: ControlSettings, row: Network, vni: int | None
) -> Network:
    """The unique index decides who has a number; looking first only saves tries."""
    first, last = settings.vni_first, settings.vni_last
    if vni is not None:
        if not first <= vni <= last:
            raise InvalidInput(f"provider:segmentation_id: must be from {first} to {last}.")
        row.vni = vni
        if not added(session, row):
            raise SegmentInUse(f"Another network has the tunnel {vni}.")
        return row
    for _ in range(_ROUNDS):
        numbers = {first + secrets.randbelow(last - first + 1) for _ in range(_CANDIDATES)}
        for number in numbers - repo.vnis(session, numbers):
            row.vni = number
            if added(session, row):
                return row
    raise Conflict(f"No tunnel's number from {first} to {last} is free.")


def _check_external(session: Session, row: Network) -> None:
    if row.kind != PROVIDER:
        raise NotSupported(
            "router:external: only a network on a bridge of the operator's can begin or cease to"
            " be external."
        )
    if routers.leads_to(session, row.id) or repo.on_network(session, row.id):
        raise NetworkInUse(f"Network {row.id} has ports, or routers that lead to it.")


def _check_default(session: Session, row: Network, *, external: bool) -> None:
    """There is one at most. Who looks keeps others from it until the commit."""
    if not external:
        raise InvalidInput("is_default: only an external network can be the default one.")
    repo.lock_plan(session)
    other = topologies.default_external(session)
    if other is not None and other.id != row.id:
        raise DefaultExternalNetworkExists(other.id)


def _check_sharing(session: Session, row: Network) -> None:
    if row.shared and repo.users(session, row.id) - {row.project_id}:
        raise NetworkInUse(f"Network {row.id} has ports of other projects: it stays shared.")


def _changed_mtu(session: Session, settings: ControlSettings, row: Network, mtu: int | None) -> int:
    kind = VXLAN if row.vni is not None else LOCAL
    new = check_mtu(settings, kind, mtu)
    if new != row.mtu and repo.on_network(session, row.id):
        raise NetworkInUse(f"Network {row.id} has ports, whose guests know its MTU: it stays.")
    return new
