"""Give servers other flavors: asked for, then confirmed or reverted by their owners. So it is with
what moves to another host.

From the request until it is settled a server holds both: what it was, and what it is to be. So the
way back never lacks room, nor quota.
"""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Migration, RequestSpec, Run, Server
from app.db.models.base import now
from app.db.repo import migrations, quota
from app.db.session import Sessions
from app.runs import resizes
from app.runs.checkpoint import fence
from app.runs.sizes import Size
from app.runs.start import Asker, owe_vacate, start_run
from app.scheduling import claim as claims
from app.services import moving
from app.services.context import Caller, Context
from app.services.flavors import usable
from app.services.moving import Wish
from app.services.over_quota import over_quota
from app.services.placement import ask_to_be, made_of_gib
from app.services.server_actions import refuse_silent_host, refuse_state
from app.services.servers import for_action
from config.settings import ControlSettings
from tasks.errors import Conflict, NoValidHost, RequestError
from tasks.messages import Job
from tasks.pipelines import CONFIRM_RESIZE, RESIZE, RESIZE_AWAY, REVERT_RESIZE


def resize(
    context: Context,
    caller: Caller,
    server_id: str,
    flavor_id: str,
    disk_config: str | None = None,
) -> None:
    """Begin to give a server another flavor, where it is, or on another host if its own has no
    room for it; the room is claimed at once. Raises NotFound, Conflict, RequestError for a flavor
    that it cannot have, QuotaExceeded, NoValidHost."""
    with context.sessions.begin() as session:
        server = for_action(session, caller, server_id)
        refuse_state(session, server, RESIZE)
        moving.refuse_unsettled(session, server, RESIZE)
        refuse_silent_host(context, server, RESIZE)
        spec = session.get_one(RequestSpec, server.id)
        flavor = usable(session, caller, flavor_id)
        if flavor is None:
            raise RequestError(f"flavorRef: flavor {flavor_id} could not be found.")
        old, new = Size.of_server(server, spec), Size.of_flavor(flavor)
        held = claims.held(session, server.id, str(server.hypervisor_id))
        image_gib = made_of_gib(session, server, old, held)
        _refuse_size(old, new, image_gib)
        _refuse_over_quota(session, server, old, new)
        server.disk_config = disk_config or server.disk_config
        try:
            run = _begin_here(session, context, caller, server, old, new)
        except NoValidHost as here:
            run = _begin_elsewhere(session, context, caller, server, new, here)
    context.publisher.publish(run.id)


def confirm(context: Context, caller: Caller, server_id: str) -> None:
    """Let a server keep its new flavor; what it was before is removed. Raises NotFound, Conflict,
    RequestError."""
    _end(context, caller, server_id, CONFIRM_RESIZE)


def revert(context: Context, caller: Caller, server_id: str) -> None:
    """Give a server back its flavor, and its disks as they were. Raises NotFound, Conflict,
    RequestError."""
    _end(context, caller, server_id, REVERT_RESIZE)


def settle(sessions: Sessions, settings: ControlSettings, job: Job) -> list[str]:
    """Make what the run has brought about the only thing that is held. Returns ids of the runs that
    are to be sent now. Raises StaleMessage."""
    with sessions.begin() as session:
        run = fence(session, job)
        migration = migrations.unsettled(session, job.server_id)
        if migration is None:
            return []
        server = session.get_one(Server, job.server_id)
        stays = run.pipeline == CONFIRM_RESIZE
        size = migration.new_size if stays else migration.old_size
        Size.of_row(size).give(server, session.get_one(RequestSpec, server.id))
        if server.hypervisor_id is not None:
            held = migration.new_claim if stays else migration.old_claim
            claims.set_to(session, server.id, server.hypervisor_id, held)
        if not stays:
            server.power_state = resizes.power_state_of(migration)
        if migration.status != "error":
            migration.status = "confirmed" if stays else "reverted"
        migration.settled_at = now()
        return resizes.vacate(session, server, run, migration, settings) if stays else []


def _begin_here(
    session: Session,
    context: Context,
    caller: Caller,
    server: Server,
    old: Size,
    new: Size,
) -> Run:
    """Begin the resize where the server is. Raises NoValidHost."""
    host = session.get_one(Hypervisor, server.hypervisor_id)
    # Where it is, its neighbours have let it be.
    image_gib = made_of_gib(session, server, old, claims.held(session, server.id, host.id))
    ask = ask_to_be(session, context.settings, server, new, image_gib)
    ask = replace(ask, keep_to=None, keep_from=())
    before = claims.widen(session, server.id, host.id, ask)
    migration = resizes.planned(server, caller.user_id, "resize", old, new)
    migration.source = migration.dest = host.name
    migration.source_id = migration.dest_id = host.id
    migration.old_claim, migration.new_claim = before, claims.needs(ask)
    run = start_run(
        session,
        server,
        RESIZE,
        asker=Asker(caller.request_id, caller.user_id),
        settings=context.settings,
        hypervisor_id=host.id,
        without=resizes.unneeded(RESIZE, migration),
    )
    migration.run_id = run.id
    session.add(migration)
    return run


def _begin_elsewhere(
    session: Session,
    context: Context,
    caller: Caller,
    server: Server,
    new: Size,
    here: NoValidHost,
) -> Run:
    """Begin the resize on another host. Raises NoValidHost with the reasons of both."""
    try:
        return moving.begin(session, context, caller, server, Wish("resize", RESIZE_AWAY, new))
    except NoValidHost as elsewhere:
        raise NoValidHost(f"Where it is: {here.public} Elsewhere: {elsewhere.public}") from here


def _end(context: Context, caller: Caller, server_id: str, pipeline: str) -> None:
    with context.sessions.begin() as session:
        server = for_action(session, caller, server_id)
        migration = migrations.unsettled(session, server.id)
        refuse_state(session, server, pipeline, _also_from(migration, pipeline))
        if migration is None:
            raise RequestError("Instance has not been resized.")
        asker, to_send = Asker(caller.request_id, caller.user_id), []
        if pipeline == REVERT_RESIZE:
            to_send = _take_home(session, context, asker, server, migration)
            migration.status, migration.waits_since = "reverting", None
        host = refuse_silent_host(context, server, pipeline)
        run = start_run(
            session,
            server,
            pipeline,
            asker=asker,
            settings=context.settings,
            hypervisor_id=host.id,
            without=_unneeded(pipeline, server, migration),
        )
        to_send.append(run.id)
    for run_id in to_send:
        context.publisher.publish(run_id)


def _unneeded(pipeline: str, server: Server, migration: Migration) -> set[str]:
    found = resizes.unneeded(pipeline, migration)
    is_home = server.hypervisor_id == migration.source_id
    return found | {"teardown", "move_back"} if is_home else found


def _take_home(
    session: Session, context: Context, asker: Asker, server: Server, migration: Migration
) -> list[str]:
    """Have a server that moved at home again at once if the host where it is is given up: what is
    there is owed. Returns ids of the runs that are to be sent. Raises Conflict."""
    if migration.source_id is None:
        raise Conflict(
            f"Cannot 'revertResize' instance {server.id}: its former host is gone for good"
        )
    there = server.hypervisor
    if server.hypervisor_id == migration.source_id or there is None:
        return []
    if not (there.lost_at or there.forced_down):
        # One that is only silent may run it still: it must not run twice.
        return []
    owed = owe_vacate(session, server, there.id, asker, context.settings)
    resizes.put(session, server, migration.source_id)
    return [owed.id]


def _also_from(migration: Migration | None, pipeline: str) -> Collection[str]:
    """However it is shown since: what waits for a word can be given it, and what could not be led
    back is tried again."""
    if migration is None or (pipeline == CONFIRM_RESIZE and migration.status != "finished"):
        return ()
    return ("error", "active", "stopped")


def _refuse_size(old: Size, new: Size, image_gib: int) -> None:
    """Refuse what no host could do: a disk is never made smaller. Raises RequestError."""
    if new.flavor_id == old.flavor_id:
        raise RequestError("When resizing, instances must change flavor!")
    if not new.root_gib and old.root_gib:
        raise RequestError("Resize to zero disk flavor is not allowed.")
    root_gib = old.root_gib or image_gib
    if new.root_gib and new.root_gib < root_gib:
        raise RequestError(
            "flavorRef: its disk is smaller than the server's:"
            f" {new.root_gib} GiB of {root_gib} GiB."
        )
    if new.ephemeral_gib < old.ephemeral_gib:
        raise RequestError(
            "flavorRef: its ephemeral disk is smaller than the server's:"
            f" {new.ephemeral_gib} GiB of {old.ephemeral_gib} GiB."
        )


def _refuse_over_quota(session: Session, server: Server, old: Size, new: Size) -> None:
    """What a server needs less of never fails for a quota. Raises QuotaExceeded."""
    project = quota.lock_project(session, server.project_id)
    used = quota.usage(session, project.id)
    rows = (
        ("cores", new.vcpus - old.vcpus, used.vcpus, project.quota_vcpus),
        ("ram", new.memory_mib - old.memory_mib, used.memory_mib, project.quota_memory_mib),
    )
    over = [row for row in rows if row[1] > 0 and 0 <= row[3] < row[2] + row[1]]
    if over:
        raise over_quota(over)
