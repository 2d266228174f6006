"""Create servers: all is looked up, checked and written in one transaction, or nothing is."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Flavor, Image, Project, RequestSpec, Run, Server, ServerGroup, ServerTag
from app.db.models.base import new_id
from app.db.repo import images, keypairs, quota
from app.runs.boot_properties import check_boot_properties, merged
from app.runs.build_spec import ROOT_TAG
from app.runs.image_words import image_words
from app.runs.start import Asker, start_run
from app.services import affinity, injected_files, server_metadata
from app.services.affinity import Hints
from app.services.context import Caller, Context
from app.services.flavors import usable
from app.services.host_choice import Choice, read_choice
from app.services.idempotency import Once, earlier, remember
from app.services.image_fit import check_fits
from app.services.images import visible_to
from app.services.over_quota import over_quota
from app.services.security_groups import DEFAULT, see_to_default
from app.services.server_names import hostname_of, numbered
from app.services.server_networks import (
    Interface,
    Interfaces,
    attach,
    check_count,
    completed,
    fitting,
    resolve,
)
from app.services.server_security import resolved
from tasks.errors import RequestError
from tasks.messages import InjectedFile
from tasks.pipelines import CREATE, stages_of


@dataclass(frozen=True)
class NewServer:
    """What was asked for. Empty `interfaces`: whichever one network the project has, if any;
    `AUTO` or `NONE` of app.services.server_networks: that."""

    name: str
    flavor_id: str
    image_id: str
    interfaces: tuple[Interface, ...] | str = ()
    #: Names or ids; none: the project's default group.
    security_groups: tuple[str, ...] = ()
    key_name: str | None = None
    user_data: str = ""
    files: tuple[InjectedFile, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    availability_zone: str | None = None
    admin_pass: str | None = None
    access_ipv4: str = ""
    access_ipv6: str = ""
    disk_config: str = "MANUAL"
    config_drive: bool = True
    min_count: int = 1
    max_count: int = 1
    hints: Hints = field(default_factory=Hints)
    description: str | None = None
    tags: tuple[str, ...] = ()
    #: By which the guest is to know its root disk.
    root_tag: str = ""


@dataclass(frozen=True)
class Created:
    """What the owner is told at once. `server_id` is the first of those made."""

    server_id: str
    reservation_id: str
    admin_pass: str
    disk_config: str
    #: Made by an earlier request under the same key.
    is_replay: bool = False


@dataclass(frozen=True)
class _Parts:
    """What the request's words stand for."""

    project: Project
    flavor: Flavor
    image: Image
    group_ids: list[str]
    interfaces: Interfaces
    public_key: str | None
    #: Locked.
    server_group: ServerGroup | None
    choice: Choice


def create(context: Context, caller: Caller, new: NewServer, once: Once | None = None) -> Created:
    """Write the servers and their runs, then send them on their way; or return what the same
    request has made before.

    Raises RequestError, ImageUnusable, Conflict, QuotaExceeded.
    """
    admin_pass = new.admin_pass or new_password()
    see_to_default(context, caller.project_id)
    with context.sessions.begin() as session:
        # Before anything is looked up, which may be gone since; and again when the project is held.
        if (made := _made_before(session, context, caller, once)) is not None:
            return made
        parts = _look_up(session, context, caller, new)
        if (made := _made_before(session, context, caller, once)) is not None:
            return made
        runs = _write(session, context, caller, new, parts, admin_pass)
        first = session.get_one(Server, runs[0].server_id)
        if once is not None:
            remember(
                session,
                context,
                caller,
                once,
                server_id=first.id,
                reservation_id=first.reservation_id,
            )
    for run in runs:
        context.publisher.publish(run.id)
    return Created(first.id, first.reservation_id, admin_pass, new.disk_config)


def write(session: Session, context: Context, caller: Caller, new: NewServer) -> list[Run]:
    """Write the servers and their runs in the caller's transaction, and return the runs. Nobody is
    told of them. Raises RequestError, ImageUnusable, Conflict, QuotaExceeded."""
    parts = _look_up(session, context, caller, new)
    return _write(session, context, caller, new, parts, new.admin_pass or "")


def _write(
    session: Session,
    context: Context,
    caller: Caller,
    new: NewServer,
    parts: _Parts,
    admin_pass: str,
) -> list[Run]:
    count = _allowed_count(session, parts, new)
    servers = [_server(caller, new, name, parts.flavor) for name in numbered(new.name, count)]
    reservation_id = f"r-{_word(8, string.ascii_lowercase + string.digits)}"
    for index, server in enumerate(servers):
        server.reservation_id, server.launch_index = reservation_id, index
    session.add_all(servers)
    session.flush()
    if parts.server_group is not None:
        affinity.join(session, parts.project, parts.server_group, servers)
    attach(servers[0], parts.interfaces)
    session.add_all(_spec(server, new, parts, admin_pass) for server in servers)
    asker = Asker(caller.request_id, caller.user_id)
    return [
        start_run(session, server, CREATE, asker=asker, settings=context.settings)
        for server in servers
    ]


def _made_before(
    session: Session, context: Context, caller: Caller, once: Once | None
) -> Created | None:
    row = None if once is None else earlier(session, context, caller, once)
    if row is None:
        return None
    server, spec = session.get_one(Server, row.server_id), session.get(RequestSpec, row.server_id)
    admin_pass = "" if spec is None else spec.admin_pass
    return Created(server.id, row.reservation_id, admin_pass, server.disk_config, is_replay=True)


def _look_up(session: Session, context: Context, caller: Caller, new: NewServer) -> _Parts:
    choice = read_choice(session, context, caller, new.availability_zone)
    flavor = usable(session, caller, new.flavor_id)
    if flavor is None:
        raise RequestError(f"flavorRef: flavor {new.flavor_id} could not be found.")
    image = images.get(session, new.image_id)
    if image is None or not visible_to(image, caller):
        raise RequestError(f"imageRef: image {new.image_id} could not be found.")
    check_boot_properties(merged(image.properties, new.metadata))
    check_fits(image, root_gib=flavor.root_gib, memory_mib=flavor.memory_mib)
    key = public_key(session, caller.user_id, new.key_name)
    group_ids = resolved(session, caller.project_id, new.security_groups or (DEFAULT,))
    interfaces = resolve(session, caller, new.interfaces)
    check_count(interfaces, new.max_count)
    server_group = affinity.check(session, caller, new.hints)
    # Last of all: whoever holds the project makes its other requests wait.
    project = quota.lock_project(session, caller.project_id)
    server_metadata.check_count(session, project.id, new.metadata)
    injected_files.check(project, new.files, config_drive=new.config_drive)
    interfaces = completed(session, context.settings, project, interfaces)
    return _Parts(project, flavor, image, group_ids, interfaces, key, server_group, choice)


def public_key(session: Session, user_id: str, name: str | None) -> str | None:
    """Return a user's key of this name. Raises RequestError if there is none."""
    if name is None:
        return None
    keypair = keypairs.get(session, user_id, name)
    if keypair is None:
        raise RequestError(f"key_name: key pair {name} could not be found.")
    return keypair.public_key


def _allowed_count(session: Session, parts: _Parts, new: NewServer) -> int:
    """Return how many servers the project has room for, from min to max. Raises QuotaExceeded."""
    project, flavor = parts.project, parts.flavor
    used = quota.usage(session, project.id)
    limits = (
        ("instances", 1, used.servers, project.quota_servers),
        ("cores", flavor.vcpus, used.vcpus, project.quota_vcpus),
        ("ram", flavor.memory_mib, used.memory_mib, project.quota_memory_mib),
    )
    count = new.max_count
    for _, each, in_use, limit in limits:
        if limit >= 0:
            count = min(count, max(0, limit - in_use) // each)
    if count >= new.min_count:
        return fitting(session, project, parts.interfaces, least=new.min_count, most=count)
    least = [(what, each * new.min_count, in_use, most) for what, each, in_use, most in limits]
    raise over_quota([row for row in least if 0 <= row[3] < row[2] + row[1]])


def _server(caller: Caller, new: NewServer, name: str, flavor: Flavor) -> Server:
    server_id = new_id()
    return Server(
        id=server_id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        name=name,
        description=new.description,
        tags=[ServerTag(tag=tag) for tag in sorted(set(new.tags))],
        hostname=hostname_of(name, server_id),
        flavor_id=flavor.id,
        flavor_name=flavor.name,
        vcpus=flavor.vcpus,
        memory_mib=flavor.memory_mib,
        root_gib=flavor.root_gib,
        ephemeral_gib=flavor.ephemeral_gib,
        swap_mib=flavor.swap_mib,
        image_id=new.image_id,
        key_name=new.key_name,
        user_metadata=new.metadata,
        access_ipv4=new.access_ipv4,
        access_ipv6=new.access_ipv6,
        disk_config=new.disk_config,
        config_drive=new.config_drive,
        # Said here so that starting the run need not ask or change them.
        hypervisor=None,
        task_state=stages_of(CREATE)[0].name,
    )


def _spec(server: Server, new: NewServer, parts: _Parts, admin_pass: str) -> RequestSpec:
    return RequestSpec(
        server_id=server.id,
        security_group_ids=parts.group_ids,
        network_ids=parts.interfaces.network_ids,
        hints=_hints(new, parts),
        public_key=parts.public_key,
        user_data=new.user_data,
        files=injected_files.kept(new.files),
        admin_pass=admin_pass,
        # What becomes of the flavor and of the image later does not change the server.
        extra_specs=dict(parts.flavor.extra_specs),
        image_words=image_words(parts.image.properties),
        availability_zone=parts.choice.zone,
    )


def _hints(new: NewServer, parts: _Parts) -> dict[str, Any]:
    root = {ROOT_TAG: new.root_tag} if new.root_tag else {}
    return parts.interfaces.hints() | new.hints.kept() | parts.choice.kept() | root


def new_password() -> str:
    """Return a password for a server's administrator."""
    return _word(12, string.ascii_letters + string.digits)


def _word(length: int, letters: str) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))
