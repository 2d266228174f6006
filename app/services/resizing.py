"""Give servers other flavors: asked for, then confirmed or reverted by their owners.

From the request until it is settled a server holds both: what it was, and what it is to be. So the
way back never lacks room, nor quota.
"""

import math
from collections.abc import Collection
from dataclasses import replace

from sqlalchemy.orm import Session

from app.db.models import Image, Migration, RequestSpec, Server
from app.db.models.base import now
from app.db.repo import migrations, quota, servers
from app.db.session import Sessions
from app.runs import resizes
from app.runs.checkpoint import fence
from app.runs.sizes import Size
from app.runs.start import Asker, start_run
from app.scheduling import claim as claims
from app.services.context import Caller, Context
from app.services.flavors import usable
from app.services.image_fit import GIB
from app.services.over_quota import over_quota
from app.services.placement import ask_to_be
from app.services.server_actions import refuse_silent_host, refuse_state
from app.services.servers import found, refuse_locked
from tasks.errors import Conflict, RequestError
from tasks.messages import Job
from tasks.pipelines import CONFIRM_RESIZE, RESIZE, REVERT_RESIZE


def resize(
    context: Context,
    caller: Caller,
    server_id: str,
    flavor_id: str,
    disk_config: str | None = None,
) -> None:
    """Begin to give a server another flavor; its room is claimed at once. Raises NotFound,
    Conflict, RequestError for a flavor that it cannot have, QuotaExceeded, NoValidHost."""
    with context.sessions.begin() as session:
        server = _locked(session, caller, server_id)
        refuse_state(session, server, RESIZE)
        if migrations.unsettled(session, server.id) is not None:
            raise Conflict(
                f"Cannot 'resize' instance {server.id} while its last resize is not reverted"
            )
        host = refuse_silent_host(context, server, RESIZE)
        spec = session.get_one(RequestSpec, server.id)
        flavor = usable(session, caller, flavor_id)
        if flavor is None:
            raise RequestError(f"flavorRef: flavor {flavor_id} could not be found.")
        image = session.get(Image, server.image_id)
        old, new = Size.of_server(server, spec), Size.of_flavor(flavor)
        _refuse_size(old, new, image)
        _refuse_over_quota(session, server, old, new)
        # Where it is, its neighbours have let it be.
        ask = replace(ask_to_be(session, context.settings, server, new), keep_to=None, keep_from=())
        before = claims.widen(session, server.id, host.id, ask)
        was_running = server.vm_state == "active"
        server.disk_config = disk_config or server.disk_config
        run = start_run(
            session,
            server,
            RESIZE,
            asker=Asker(caller.request_id, caller.user_id),
            settings=context.settings,
            hypervisor_id=host.id,
            without=resizes.unneeded(was_running),
        )
        session.add(
            Migration(
                server_id=server.id,
                user_id=caller.user_id,
                run_id=run.id,
                kind="resize",
                source=host.name,
                source_id=host.id,
                dest=host.name,
                dest_id=host.id,
                old_size=old.kept(),
                new_size=new.kept(),
                old_claim=before,
                new_claim=claims.needs(ask),
                vcpus_held=max(old.vcpus, new.vcpus),
                memory_mib_held=max(old.memory_mib, new.memory_mib),
                was_running=was_running,
            )
        )
    context.publisher.publish(run.id)


def confirm(context: Context, caller: Caller, server_id: str) -> None:
    """Let a server keep its new flavor; what it was before is removed. Raises NotFound, Conflict,
    RequestError."""
    _end(context, caller, server_id, CONFIRM_RESIZE)


def revert(context: Context, caller: Caller, server_id: str) -> None:
    """Give a server back its flavor, and its disks as they were. Raises NotFound, Conflict,
    RequestError."""
    _end(context, caller, server_id, REVERT_RESIZE)


def settle(sessions: Sessions, job: Job) -> None:
    """Make what the run has brought about the only thing that is held. Raises StaleMessage."""
    with sessions.begin() as session:
        run = fence(session, job)
        migration = migrations.unsettled(session, job.server_id)
        if migration is None:
            return
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


def _end(context: Context, caller: Caller, server_id: str, pipeline: str) -> None:
    with context.sessions.begin() as session:
        server = _locked(session, caller, server_id)
        migration = migrations.unsettled(session, server.id)
        refuse_state(session, server, pipeline, _also_from(migration, pipeline))
        if migration is None:
            raise RequestError("Instance has not been resized.")
        host = refuse_silent_host(context, server, pipeline)
        if pipeline == REVERT_RESIZE:
            migration.status, migration.waits_since = "reverting", None
        run = start_run(
            session,
            server,
            pipeline,
            asker=Asker(caller.request_id, caller.user_id),
            settings=context.settings,
            hypervisor_id=host.id,
            without=resizes.unneeded(migration.was_running),
        )
    context.publisher.publish(run.id)


def _also_from(migration: Migration | None, pipeline: str) -> Collection[str]:
    """However it is shown since: what waits for a word can be given it, and what could not be led
    back is tried again."""
    if migration is None or (pipeline == CONFIRM_RESIZE and migration.status != "finished"):
        return ()
    return ("error", "active", "stopped")


def _locked(session: Session, caller: Caller, server_id: str) -> Server:
    servers.lock_runs(session, server_id)
    server = found(servers.get(session, server_id), caller, server_id)
    refuse_locked(server, caller)
    return server


def _refuse_size(old: Size, new: Size, image: Image | None) -> None:
    """Refuse what no host could do: a disk is never made smaller. Raises RequestError."""
    if new.flavor_id == old.flavor_id:
        raise RequestError("When resizing, instances must change flavor!")
    if not new.root_gib and old.root_gib:
        raise RequestError("Resize to zero disk flavor is not allowed.")
    image_gib = math.ceil((image.virtual_size_bytes or 0) / GIB) if image else 0
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
