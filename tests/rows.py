"""Rows for tests: a project with a user, a network, an image, hosts and servers."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import (
    Flavor,
    Hypervisor,
    Image,
    Network,
    Project,
    RequestSpec,
    Run,
    Server,
    Subnet,
    User,
)
from app.db.models.base import now
from app.db.repo import fabric
from app.db.session import Sessions
from app.runs.image_words import image_words
from app.runs.start import Asker, start_run
from app.services.context import Caller
from config.settings import ControlSettings
from tasks.pipelines import CREATE

SECRET = "s" * 40


def make_settings(**changes: Any) -> ControlSettings:
    """Return settings of a control plane for tests."""
    return ControlSettings(**{"secret_key": SECRET, **changes})


@dataclass(frozen=True)
class World:
    """Ids of what every server needs."""

    project_id: str
    user_id: str
    flavor_id: str
    image_id: str
    network_id: str


def make_world(sessions: Sessions, *, cidr_last: str = "10.9.0.250") -> World:
    """Write a project without limits, a user, a flavor, an active image and a network."""
    world = World(*(str(uuid.uuid4()) for _ in range(5)))
    with sessions.begin() as session:
        session.add(
            Project(
                id=world.project_id,
                name=f"p-{world.project_id[:8]}",
                quota_servers=-1,
                quota_vcpus=-1,
                quota_memory_mib=-1,
            )
        )
        session.add(User(id=world.user_id, name=f"u-{world.user_id[:8]}", password_hash="-"))
        session.add(
            Flavor(
                id=world.flavor_id,
                name=f"f-{world.flavor_id[:8]}",
                vcpus=1,
                memory_mib=256,
                root_gib=1,
            )
        )
        session.flush()
        session.add(
            Image(
                id=world.image_id,
                project_id=world.project_id,
                name="small",
                status="active",
                visibility="public",
                disk_format="qcow2",
                container_format="bare",
                size_bytes=1,
                virtual_size_bytes=1,
                sha256="0" * 64,
            )
        )
        session.add(Network(id=world.network_id, project_id=world.project_id, name="private"))
        session.flush()
        session.add(make_subnet(world.network_id, last=cidr_last))
    return world


def make_subnet(network_id: str, last: str = "10.9.0.250") -> Subnet:
    """Return a subnet whose pool begins at 10.9.0.10."""
    return Subnet(
        network_id=network_id,
        name="private",
        cidr="10.9.0.0/24",
        gateway="10.9.0.1",
        host_address="10.9.0.1",
        pools=[{"start": "10.9.0.10", "end": last}],
    )


def add_flavor(sessions: Sessions, **facts: Any) -> str:
    """Write a flavor that is twice the world's; return its id."""
    flavor_id = str(uuid.uuid4())
    sizes = {"vcpus": 2, "memory_mib": 512, "root_gib": 2, **facts}
    with sessions.begin() as session:
        session.add(Flavor(id=flavor_id, name=f"f-{flavor_id[:8]}", **sizes))
    return flavor_id


def caller_of(world: World, request_id: str = "req-1") -> Caller:
    """Return the world's user, as whoever asks."""
    return Caller(world.user_id, "u", world.project_id, "p", ("member",), request_id)


def add_host(sessions: Sessions, name: str, **facts: Any) -> str:
    """Write a hypervisor that was heard of just now; return its id."""
    with sessions.begin() as session:
        host = Hypervisor(
            id=str(uuid.uuid4()),
            name=name,
            **{
                "number": int(uuid.uuid4()) % 1_000_000_000,
                "vcpus": 8,
                "memory_mib": 8192,
                "disk_gib": 100,
                "free_disk_gib": 100,
                "last_seen_at": now(),
                **facts,
            },
        )
        session.add(host)
        session.flush()
        fabric.begin(session, host.id, host.last_seen_at)
        return host.id


def add_server(
    session: Session,
    world: World,
    settings: ControlSettings,
    *,
    extra_specs: dict[str, str] | None = None,
    **facts: Any,
) -> Run:
    """Write a server of the world's flavor with its spec and its create run; return the run."""
    server = Server(
        id=str(uuid.uuid4()),
        project_id=world.project_id,
        user_id=world.user_id,
        flavor_id=world.flavor_id,
        image_id=world.image_id,
        **{
            "name": "web",
            "hostname": "web",
            "vcpus": 1,
            "memory_mib": 256,
            "root_gib": 1,
            **facts,
        },
    )
    session.add(server)
    session.flush()
    session.add(
        RequestSpec(
            server_id=server.id,
            network_ids=[world.network_id],
            extra_specs=extra_specs or {},
            image_words=image_words(session.get_one(Image, world.image_id).properties),
        )
    )
    return start_run(
        session,
        server,
        CREATE,
        asker=Asker(f"req-{uuid.uuid4()}", world.user_id),
        settings=settings,
    )
