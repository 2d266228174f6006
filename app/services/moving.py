"""Take servers to other hosts, with their disks: to have room for another flavor, or only to be
there. What they were stays on their former hosts until it is confirmed (app.services.resizing).
"""

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Migration, RequestSpec, Run, Server
from app.db.repo import hypervisors, images, migrations, runs
from app.db.session import Sessions
from app.runs import resizes
from app.runs.attempts import hosts_tried
from app.runs.checkpoint import fence
from app.runs.envelope import job_of
from app.runs.hardware import hardware_of
from app.runs.sizes import Size
from app.runs.start import Asker, start_run
from app.scheduling import claim as claims
from app.scheduling.rules import Ask
from app.services.context import Caller, Context
from app.services.placement import ask_to_be, made_of_gib
from app.services.server_actions import refuse_silent_host, refuse_state
from app.services.servers import for_action
from config.settings import ControlSettings
from tasks.errors import Conflict, HostLost, RequestError
from tasks.messages import Job, Move
from tasks.pipelines import EVACUATIONS, MIGRATE, MOVES

#: As long as an image's name may be.
_NAME_LENGTH = 255


@dataclass(frozen=True)
class Wish:
    """What a server is to become on another host: Nova's kind of migration, the pipeline that does
    it, its size, and the host that was named, if one was."""

    kind: str
    pipeline: str
    size: Size
    host: str | None = None


def migrate(context: Context, caller: Caller, server_id: str, host: str | None = None) -> None:
    """Begin to take a server to another host, the named one or any; room is claimed there at once.
    Raises NotFound, Conflict, RequestError for a host that there is not, NoValidHost."""
    with context.sessions.begin() as session:
        server = for_action(session, caller, server_id)
        refuse_state(session, server, MIGRATE)
        refuse_unsettled(session, server, MIGRATE)
        source = refuse_silent_host(context, server, MIGRATE)
        refuse_host(session, source, host)
        size = Size.of_server(server, session.get_one(RequestSpec, server.id))
        run = begin(session, context, caller, server, Wish("migration", MIGRATE, size, host))
    context.publisher.publish(run.id)


def refuse_unsettled(session: Session, server: Server, pipeline: str) -> None:
    """Refuse to begin what could not be told from what is not put back yet. Raises Conflict."""
    if migrations.unsettled(session, server.id) is not None:
        raise Conflict(
            f"Cannot '{pipeline}' instance {server.id} while its last resize is not reverted"
        )


def begin(session: Session, context: Context, caller: Caller, server: Server, wish: Wish) -> Run:
    """Claim room on another host for a server that is on one, and begin its move there. The run is
    to be sent. Raises NoValidHost."""
    source = session.get_one(Hypervisor, server.hypervisor_id)
    old = Size.of_server(server, session.get_one(RequestSpec, server.id))
    migration = resizes.planned(server, caller.user_id, wish.kind, old, wish.size)
    migration.source, migration.source_id = source.name, source.id
    migration.old_claim = claims.held(session, server.id, source.id)
    migration.carried = _carry(session, server, old) if wish.pipeline in MOVES else []
    run = start_run(
        session,
        server,
        wish.pipeline,
        asker=Asker(caller.request_id, caller.user_id),
        settings=context.settings,
        # Nothing is asked of a host that does not answer.
        hypervisor_id=None if wish.pipeline in EVACUATIONS else source.id,
        without=resizes.unneeded(wish.pipeline, migration),
    )
    run.parameters = {resizes.HOST: wish.host} if wish.host else None
    migration.run_id = run.id
    _choose(session, context.settings, job_of(session, run, server), run, server, migration)
    session.add(migration)
    return run


def move(sessions: Sessions, settings: ControlSettings, job: Job) -> Move:
    """Have the server on the host that was claimed for it, or on another one if that has failed.
    Raises NoValidHost, ImageUnusable, StaleMessage."""
    with sessions.begin() as session:
        run, server = arrived(session, settings, job)
        host = session.get_one(Hypervisor, server.hypervisor_id)
        return Move(host=host.name, shape=resizes.shape(session, run, settings))


def arrived(session: Session, settings: ControlSettings, job: Job) -> tuple[Run, Server]:
    """Have the server on the host that was claimed for it, or on another one if that has failed, in
    the caller's transaction. Raises NoValidHost, StaleMessage."""
    run = fence(session, job)
    server = session.get_one(Server, run.server_id)
    migration = resizes.under_way(session, server.id)
    if migration.dest_id is None:
        _choose(session, settings, job, run, server, migration)
    if run.hypervisor_id != migration.dest_id or server.hypervisor_id != migration.dest_id:
        _put(session, run, server, migration.dest_id, migration.dest)
    return run, server


def move_back(sessions: Sessions, settings: ControlSettings, job: Job) -> Move:
    """Have the server on its former host, now that the other one is clean. Raises StaleMessage,
    HostLost."""
    with sessions.begin() as session:
        run = fence(session, job)
        server = session.get_one(Server, run.server_id)
        migration = resizes.under_way(session, server.id)
        if migration.source_id is None:
            raise HostLost("The server's former host is gone for good.", host=migration.source)
        if run.hypervisor_id != migration.source_id:
            if migration.dest_id is not None:
                claims.release(session, server.id, migration.dest_id)
            _put(session, run, server, migration.source_id, migration.source)
        return Move(host=migration.source, shape=resizes.shape(session, run, settings))


def _put(session: Session, run: Run, server: Server, host_id: str | None, host: str) -> None:
    run.hypervisor_id = host_id
    runs.get_attempt(session, run).host = host
    resizes.put(session, server, host_id)


def _choose(
    session: Session,
    settings: ControlSettings,
    job: Job,
    run: Run,
    server: Server,
    migration: Migration,
) -> None:
    """Claim room for the server on another host than its own, and than those that have failed."""
    ask = _ask(session, settings, run, server, migration)
    claimed = claims.claim_another(session, job, ask)
    migration.dest, migration.dest_id = claimed.host, claimed.hypervisor_id
    migration.new_claim = claims.needs(ask)


def _ask(
    session: Session, settings: ControlSettings, run: Run, server: Server, migration: Migration
) -> Ask:
    old, new = Size.of_row(migration.old_size), Size.of_row(migration.new_size)
    image_gib = made_of_gib(session, server, old, migration.old_claim)
    ask = ask_to_be(session, settings, server, new, image_gib)
    failed = {str(attempt.host) for attempt in hosts_tried(session, run)}
    # What it has left on a host must be gone before it comes back there.
    tried = tuple(sorted({*failed, *runs.hosts_owing(session, server.id)}))
    host = (run.parameters or {}).get(resizes.HOST, "")
    return replace(ask, tried=tried, leaving=migration.source, host=host)


def refuse_host(session: Session, source: Hypervisor, host: str | None) -> None:
    """Refuse to move a server from one host to a named one that is none, or the same. Raises
    RequestError."""
    if host is None:
        return
    if hypervisors.by_name(session, host) is None:
        raise RequestError(f"host: compute host {host} could not be found.")
    if host == source.name:
        raise RequestError(f"host: the server is on {host} already.")


def _carry(session: Session, server: Server, size: Size) -> list[dict[str, str]]:
    """Add the images in which the server's disks travel; return what a migration keeps of them.
    Its swap is made anew."""
    words = session.get_one(RequestSpec, server.id).image_words
    has = {
        "root": True,
        "ephemeral": size.ephemeral_gib > 0,
        "nvram": hardware_of(words).firmware == "uefi",
    }
    return [
        {"role": role, "image_id": _add_image(session, server, role)}
        for role, is_there in has.items()
        if is_there
    ]


def _add_image(session: Session, server: Server, role: str) -> str:
    suffix = f"-migration-{role}"
    return images.add_disk(
        session,
        server.project_id,
        server.name[: _NAME_LENGTH - len(suffix)] + suffix,
        {"image_type": "migration", "instance_uuid": server.id},
        hidden=True,
    ).id
