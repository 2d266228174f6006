"""Place a server on a host, and let go of the place again."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from app.db.models import Image, Port, PostedPassword, RequestSpec, Run, Server
from app.db.models.base import now
from app.db.repo import addresses, console_tokens, runs, watch
from app.db.session import Sessions
from app.runs.actions import OFFLOADED, show
from app.runs.attempts import hosts_tried
from app.runs.build_spec import build_spec
from app.runs.checkpoint import fence
from app.runs.extra_specs import cpu_policy_of, has_vif_limits
from app.runs.fabric import note_placed, note_server
from app.runs.hardware import hardware_of
from app.runs.sizes import Size
from app.scheduling import claim as claims
from app.scheduling.addresses import ensure_ports
from app.scheduling.rules import Ask, alive_since
from app.services.affinity import neighbours
from app.services.host_choice import HOST, wanted_aggregates
from app.services.image_fit import virtual_gib
from app.services.server_networks import fixed_of, physical_networks, tag_made
from config.settings import ControlSettings
from tasks.errors import NotYet, NoValidHost
from tasks.messages import AttemptRef, Job, Placement
from tasks.pipelines import CREATE

#: Seconds beyond the guest's limit after which the control plane gives a boot up by itself.
BOOT_NET_S = 60.0

#: How often a server is placed whose ports' MACs are taken.
TRIES = 5

#: Seconds after which a server is placed again that found no host because none was heard of yet.
HEARING_PAUSE_S = 1.0


@retry(retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(TRIES), reraise=True)
def place(sessions: Sessions, settings: ControlSettings, job: Job) -> Placement:
    """Claim a host and addresses for the server, and say all that the host needs to build it.

    Raises NoValidHost, NoFreeAddress, NotFound, StaleMessage, and NotYet while a host that would
    do may still be heard of.

    Another port may have the MAC that was drawn: of 10,000 ports one in 1,700 draws meets one.
    Nothing was written then, and the next try draws another.
    """
    with sessions.begin() as session:
        return _place(session, settings, job)


def _place(session: Session, settings: ControlSettings, job: Job) -> Placement:
    run = fence(session, job)
    server = session.get_one(Server, job.server_id)
    spec = session.get_one(RequestSpec, server.id)
    try:
        claimed, ports = take_place(session, settings, job, run, server)
    except NoValidHost as refusal:
        ask = ask_of(session, settings, run, server)
        if claims.would_fit(session, replace(ask, alive_since=_awaited_since(session, settings))):
            raise NotYet(refusal.public, again_s=HEARING_PAUSE_S) from refusal
        raise
    build = build_spec(
        session,
        server,
        spec,
        ports,
        settings,
        job.deadline,
        AttemptRef(run_id=run.id, attempt=run.attempt),
    )
    note_placed(session, build.ports)
    limit_boot(session, run, build.boot.limit_s)
    return Placement(host=claimed.host, build=build)


def _awaited_since(session: Session, settings: ControlSettings) -> datetime:
    """Return since when a host must have been heard of for a server to wait until it speaks again.

    One that has just fallen silent may be starting again, and will say so soon. A control plane
    that was away itself must not take its own silence for that of its hosts: it waits for all.
    """
    limit = timedelta(seconds=settings.host_silence_limit_s)
    row, moment = watch.get(session), now()
    if row is not None and (row.since > moment - limit or row.last_at < moment - limit):
        return datetime.fromtimestamp(0, UTC)
    return moment - 2 * limit


def take_place(
    session: Session, settings: ControlSettings, job: Job, run: Run, server: Server
) -> tuple[claims.Claim, list[Port]]:
    """Claim a host and addresses in the caller's transaction. Raises NoValidHost, NoFreeAddress,
    NotFound."""
    spec = session.get_one(RequestSpec, server.id)
    claimed = claims.claim(session, server, job, ask_of(session, settings, run, server))
    server.hypervisor_id = run.hypervisor_id = claimed.hypervisor_id
    runs.get_attempt(session, run).host = claimed.host
    if server.shelved_image_id is not None:
        # It has its ports, whatever was asked for once.
        return claimed, addresses.ports_of(session, server.id)
    groups, fixed = spec.security_group_ids, fixed_of(spec)
    ports = ensure_ports(session, server, spec.network_ids, groups, settings, fixed)
    tag_made(spec, ports)
    return claimed, ports


def ask_of(session: Session, settings: ControlSettings, run: Run, server: Server) -> Ask:
    """Return what the server needs of a host, by its rows."""
    spec = session.get_one(RequestSpec, server.id)
    image_gib = virtual_gib(session.get(Image, server.disk_image_id))
    ask = ask_to_be(session, settings, server, Size.of_server(server, spec), image_gib)
    tried = [str(attempt.host) for attempt in hosts_tried(session, run)]
    # What it has left on a host must be gone before it comes back there.
    tried += runs.hosts_owing(session, server.id)
    return replace(
        ask,
        tried=tuple(tried),
        # It was asked for the create; whoever moves the server later says where to.
        host=spec.hints.get(HOST, "") if run.pipeline == CREATE else "",
    )


def made_of_gib(session: Session, server: Server, size: Size, claim: Mapping[str, int]) -> int:
    """Return how large a disk the server's image makes, in GiB. If that is gone, what the server
    claimed for its size tells."""
    image = session.get(Image, server.disk_image_id)
    return virtual_gib(image) if image else size.image_gib(claim["disk_gib"])


def ask_to_be(
    session: Session, settings: ControlSettings, server: Server, size: Size, image_gib: int
) -> Ask:
    """Return what the server needs of a host to have this size there, of an image that makes a
    disk of `image_gib`."""
    spec = session.get_one(RequestSpec, server.id)
    network_ids = spec.network_ids
    if server.launched_at is not None:
        network_ids = [port.network_id for port in addresses.ports_of(session, server.id)]
    ask = ask_for_size(size, spec, image_gib, settings)
    near = neighbours(session, spec)
    wanted = wanted_aggregates(session, size.extra_specs, server.project_id)
    return replace(
        ask,
        physical_networks=physical_networks(session, network_ids),
        keep_to=near.keep_to,
        keep_from=near.keep_from,
        zone=spec.availability_zone,
        default_zone=settings.availability_zone,
        in_aggregates=wanted.having,
        kept_aggregates=wanted.kept,
        own_aggregates=wanted.own,
        company=near.company,
    )


def limit_boot(session: Session, run: Run, limit_s: float) -> None:
    """The guest's own limit is kept where it is watched; this is the net, if the watcher dies."""
    stage = runs.get_stage(session, run, "poll_boot")
    if stage is not None:
        stage.limit_s = limit_s + BOOT_NET_S


def ask_for_size(
    size: Size,
    spec: RequestSpec,
    image_gib: int,
    settings: ControlSettings,
) -> Ask:
    """Return what a server needs of a host to have this size. Disk 0 is a disk as large as the
    image."""
    is_dedicated = cpu_policy_of(size.extra_specs) == "dedicated"
    return Ask(
        vcpus=0 if is_dedicated else size.vcpus,
        dedicated_vcpus=size.vcpus if is_dedicated else 0,
        memory_mib=size.memory_mib,
        disk_gib=size.disk_gib(image_gib),
        vif_limits=has_vif_limits(size.extra_specs),
        uefi=hardware_of(spec.image_words).firmware == "uefi",
        alive_since=alive_since(settings),
        cpu_overcommit=settings.cpu_overcommit,
        memory_overcommit=settings.memory_overcommit,
        disk_overcommit=settings.disk_overcommit,
        reserved_memory_mib=settings.host_reserved_memory_mib,
    )


def release(sessions: Sessions, job: Job) -> None:
    """Free what was held of the run's host, now that it is clean. Raises StaleMessage."""
    with sessions.begin() as session:
        _let_go(session, fence(session, job))


def forget(sessions: Sessions, job: Job) -> None:
    """Free everything and mark the server deleted. Raises StaleMessage."""
    with sessions.begin() as session:
        run = fence(session, job)
        server = session.get_one(Server, job.server_id)
        server.hypervisor_id = None
        _let_go(session, run)
        spec = session.get(RequestSpec, server.id)
        if spec is not None:
            # It holds user data and a password; nobody needs them any more.
            session.delete(spec)
        posted = session.get(PostedPassword, server.id)
        if posted is not None:
            session.delete(posted)
        console_tokens.remove_of_server(session, server.id)
        server.deleted_at = server.deleted_at or now()
        server.status, server.vm_state, server.task_state = "DELETED", "deleted", None


def offload(sessions: Sessions, job: Job) -> None:
    """Let a shelved server be on no host; what it held there is free. Raises StaleMessage."""
    with sessions.begin() as session:
        run = fence(session, job)
        server = session.get_one(Server, job.server_id)
        # Other hosts need not know of its interfaces until it is placed again.
        note_server(session, server.id)
        server.hypervisor_id = None
        _let_go(session, run)
        show(server, OFFLOADED)


def _let_go(session: Session, run: Run) -> None:
    """The addresses follow at the end of the server's last run (app.runs.checkpoint)."""
    if run.hypervisor_id is not None:
        claims.release(session, run.server_id, run.hypervisor_id)
