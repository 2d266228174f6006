"""What a new Byre starts with: projects, users, flavors, a network. Can be repeated."""

import secrets
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from sqlalchemy.orm import Session

from app.db.models import Flavor, Network, Project, Subnet
from app.db.models.base import new_id
from app.db.repo import flavors, networks
from app.db.session import Sessions
from app.services.accounts import ensure_project, ensure_user
from config.settings import ControlSettings
from tasks.errors import RequestError

#: id, name, vCPUs, MiB of memory, GiB of disk: the names and ids that OpenStack's users know.
FLAVORS = (
    ("42", "m1.nano", 1, 256, 1),
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
)


@dataclass(frozen=True)
class NewNetwork:
    """A network to make. The gateway is the first address, servers get the others."""

    name: str
    cidr: str
    dns: tuple[str, ...]
    shared: bool = True
    mtu: int = 1500


@dataclass(frozen=True)
class Account:
    """A user as clouds.yaml names them. The password is there only if it is known."""

    user: str
    project: str
    password: str | None


def bootstrap(
    sessions: Sessions,
    settings: ControlSettings,
    network: NewNetwork,
    *,
    admin_password: str | None,
    demo_password: str | None,
) -> tuple[Account, Account]:
    """Make what is missing; return the normal user's and the operator's accounts.

    A password that is not given is made up for a new user, and not known for one who is there.
    Raises RequestError.
    """
    with sessions.begin() as session:
        admin_project = ensure_project(session, settings, "admin")
        demo_project = ensure_project(session, settings, "demo")
        admin = _account(session, "admin", admin_password, admin_project)
        demo = _account(session, "demo", demo_password, demo_project)
        for flavor in FLAVORS:
            _ensure_flavor(session, *flavor)
        if networks.by_name(session, network.name) is None:
            add_network(session, admin_project, network)
    return demo, admin


def add_network(session: Session, project: Project, new: NewNetwork) -> Network:
    """Add a network with its one subnet. Raises RequestError."""
    block = _block(new.cidr)
    row = Network(id=new_id(), project_id=project.id, name=new.name, shared=new.shared, mtu=new.mtu)
    session.add(row)
    session.flush()
    gateway = block.network_address + 1
    session.add(
        Subnet(
            network_id=row.id,
            name=new.name,
            cidr=str(block),
            gateway=str(gateway),
            dns=[_address(text) for text in new.dns],
            host_address=str(gateway),
            pools=[{"start": str(gateway + 1), "end": str(block.broadcast_address - 1)}],
        )
    )
    return row


def _account(session: Session, name: str, password: str | None, project: Project) -> Account:
    try:
        ensure_user(session, name, password, project, "admin" if name == "admin" else "member")
    except ValueError:
        password = secrets.token_urlsafe(16)
        ensure_user(session, name, password, project, "admin" if name == "admin" else "member")
    return Account(name, project.name, password)


def _ensure_flavor(
    session: Session, flavor_id: str, name: str, vcpus: int, memory_mib: int, root_gib: int
) -> None:
    if flavors.by_name(session, name) is None and flavors.get(session, flavor_id) is None:
        session.add(
            Flavor(id=flavor_id, name=name, vcpus=vcpus, memory_mib=memory_mib, root_gib=root_gib)
        )


def _block(cidr: str) -> IPv4Network:
    try:
        block = IPv4Network(cidr)
    except ValueError as error:
        raise RequestError(f"cidr: {error}") from error
    if not 16 <= block.prefixlen <= 29:
        raise RequestError(f"cidr: {cidr} must be between a /16 and a /29.")
    return block


def _address(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError as error:
        raise RequestError(f"dns: {error}") from error
