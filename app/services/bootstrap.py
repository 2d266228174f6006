"""What a new Byre starts with: projects, users, flavors, a network. Can be repeated."""

import secrets
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.models import Flavor, Network, Project
from app.db.repo import flavors, networks
from app.db.session import Sessions
from app.services import networks as network_cases
from app.services import projects, users
from app.services import subnets as subnet_cases
from app.services.networks import NewNetwork
from app.services.subnets import NewSubnet
from config.settings import ControlSettings

#: id, name, vCPUs, MiB of memory, GiB of disk: the names and ids that OpenStack's users know.
FLAVORS = (
    ("42", "m1.nano", 1, 256, 1),
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
)


@dataclass(frozen=True)
class FirstNetwork:
    """A network to make, with one subnet of IPv4, and the first address as its gateway. Without an
    MTU it gets what suits networks that span hosts."""

    name: str
    cidr: str
    dns: tuple[str, ...]
    shared: bool = True
    mtu: int | None = None


@dataclass(frozen=True)
class Account:
    """A user as clouds.yaml names them. The password is there only if it is known."""

    user: str
    project: str
    password: str | None


def bootstrap(
    sessions: Sessions,
    settings: ControlSettings,
    network: FirstNetwork,
    *,
    admin_password: str | None,
    demo_password: str | None,
) -> tuple[Account, Account]:
    """Make what is missing; return the normal user's and the operator's accounts.

    A password that is not given is made up for a new user, and not known for one who is there.
    Raises RequestError.
    """
    with sessions.begin() as session:
        admin_project = projects.ensure(session, settings, "admin")
        demo_project = projects.ensure(session, settings, "demo")
        admin = _account(session, "admin", admin_password, admin_project)
        demo = _account(session, "demo", demo_password, demo_project)
        for flavor in FLAVORS:
            _ensure_flavor(session, *flavor)
        if networks.by_name(session, network.name) is None:
            add_network(session, settings, admin_project, network)
    return demo, admin


def add_network(
    session: Session, settings: ControlSettings, project: Project, new: FirstNetwork
) -> Network:
    """Add a network with its one subnet. Raises RequestError."""
    asked = NewNetwork(name=new.name, shared=new.shared, mtu=new.mtu)
    row = network_cases.add_network(session, settings, project.id, asked)
    session.flush()
    networks.lock_plan(session)
    block = NewSubnet(row.id, 4, new.cidr, name=new.name, dns=new.dns)
    subnet_cases.add_subnet(session, settings, row, block)
    return row


def _account(session: Session, name: str, password: str | None, project: Project) -> Account:
    role = "admin" if name == "admin" else "member"
    try:
        users.ensure(session, name, password, project.id, role)
    except ValueError:
        password = secrets.token_hex(16)
        users.ensure(session, name, password, project.id, role)
    return Account(name, project.name, password)


def _ensure_flavor(
    session: Session, flavor_id: str, name: str, vcpus: int, memory_mib: int, root_gib: int
) -> None:
    if flavors.by_name(session, name) is None and flavors.get(session, flavor_id) is None:
        session.add(
            Flavor(id=flavor_id, name=name, vcpus=vcpus, memory_mib=memory_mib, root_gib=root_gib)
        )
