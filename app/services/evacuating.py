"""Make servers of hosts that do not answer anew on other hosts, from their images: with their ids,
ports and addresses. Their disks are on the host that is away, and are removed there when it is
back.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.models import Hypervisor, Image, RequestSpec, Server
from app.db.repo import addresses, images
from app.db.session import Sessions
from app.runs import actions
from app.runs.build_spec import build_spec
from app.runs.sizes import Size
from app.scheduling.rules import alive_since
from app.services import moving
from app.services.context import Caller, Context
from app.services.moving import Wish
from app.services.new_servers import new_password
from app.services.placement import limit_boot
from app.services.server_actions import refuse_state
from app.services.server_views import is_heard
from app.services.servers import for_action
from config.settings import ControlSettings
from tasks.errors import RequestError
from tasks.messages import AttemptRef, Job, Placement
from tasks.pipelines import EVACUATE


@dataclass(frozen=True)
class Evacuation:
    """What was asked for: where to, if that is said, and the new administrator's password."""

    host: str | None = None
    admin_pass: str | None = None


def evacuate(
    context: Context, caller: Caller, server_id: str, wanted: Evacuation = Evacuation()
) -> str:
    """Begin to make the server anew on another host; return the new administrator's password. Room
    is claimed there at once. Raises NotFound, Conflict, RequestError while its host answers, or for
    a host that there is not, NoValidHost."""
    admin_pass = wanted.admin_pass or new_password()
    with context.sessions.begin() as session:
        server = for_action(session, caller, server_id)
        refuse_state(session, server, EVACUATE)
        moving.refuse_unsettled(session, server, EVACUATE)
        source = session.get_one(Hypervisor, server.hypervisor_id)
        _refuse_heard(context, source)
        moving.refuse_host(session, source, wanted.host)
        _refuse_without_image(session, server)
        spec = session.get_one(RequestSpec, server.id)
        spec.admin_pass = admin_pass
        wish = Wish(
            "evacuation",
            actions.pipeline_for(EVACUATE, server.vm_state),
            Size.of_server(server, spec),
            wanted.host,
        )
        run = moving.begin(session, context, caller, server, wish)
    context.publisher.publish(run.id)
    return admin_pass


def rehost(sessions: Sessions, settings: ControlSettings, job: Job) -> Placement:
    """Have the server on the host that was claimed for it, or on another one if that has failed.
    Raises NoValidHost, ImageUnusable, StaleMessage."""
    with sessions.begin() as session:
        run, server = moving.arrived(session, settings, job)
        spec = session.get_one(RequestSpec, server.id)
        ports = addresses.ports_of(session, server.id)
        attempt = AttemptRef(run_id=run.id, attempt=run.attempt)
        build = build_spec(session, server, spec, ports, settings, job.deadline, attempt)
        limit_boot(session, run, build.boot.limit_s)
        host = session.get_one(Hypervisor, server.hypervisor_id)
        return Placement(host=host.name, build=build)


def _refuse_heard(context: Context, host: Hypervisor) -> None:
    """A guest must not be on two hosts: only what does not answer is evacuated."""
    if is_heard(host, alive_since(context.settings)):
        raise RequestError(f"Compute service of {host.name} is still in use.")


def _refuse_without_image(session: Session, server: Server) -> None:
    image: Image | None = images.get(session, server.image_id)
    if image is None or image.status != "active":
        raise RequestError(f"Image {server.image_id}, which the server is made of, is gone.")
