"""Make a server anew from an image: on its host, with its id, its ports and its addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.db.models import Allocation, Image, Project, RequestSpec, Server
from app.db.repo import images
from app.runs.boot_properties import check_boot_properties, merged
from app.runs.hardware import hardware_of
from app.runs.image_words import image_words
from app.runs.sizes import Size
from app.services import injected_files, server_actions
from app.services.context import Caller, Context
from app.services.image_fit import check_fits, virtual_gib
from app.services.images import visible_to
from app.services.new_servers import new_password, public_key
from app.services.server_metadata import check_count
from tasks.errors import ImageUnusable, RequestError
from tasks.messages import InjectedFile, Kept
from tasks.pipelines import REBUILD

#: What may be said, and taken away by None, beside what a rebuild always could change.
OTHERS = ("description", "key_name", "user_data")


@dataclass(frozen=True)
class Rebuild:
    """What was asked for. None leaves as it is, except in `others`."""

    image_id: str
    name: str | None = None
    admin_pass: str | None = None
    metadata: dict[str, str] | None = None
    disk_config: str | None = None
    preserve_ephemeral: bool = False
    #: As in Nova, a guest that is made anew finds only those that its rebuild names.
    files: tuple[InjectedFile, ...] = ()
    #: By names of `OTHERS`.
    others: Mapping[str, str | None] = field(default_factory=dict)


def begin(context: Context, caller: Caller, server_id: str, wanted: Rebuild) -> str:
    """Begin the rebuild, and return the new administrator's password. Raises as
    `server_actions.begin`, and RequestError and ImageUnusable for an image that cannot be used."""
    admin_pass = wanted.admin_pass or new_password()

    def prepare(session: Session, server: Server) -> dict[str, object]:
        image = usable_image(session, caller, wanted.image_id, "imageRef")
        check_fits(image, root_gib=server.root_gib, memory_mib=server.memory_mib)
        _check_host(session, server, image)
        _change(session, server, image, wanted, admin_pass)
        return {"kept": Kept(ephemeral=wanted.preserve_ephemeral).model_dump()}

    server_actions.begin(context, caller, server_id, REBUILD, prepare)
    return admin_pass


def usable_image(session: Session, caller: Caller, image_id: str, field: str) -> Image:
    """Return the image, if it is there for the caller. Raises RequestError, with the field."""
    image = images.get(session, image_id)
    if image is None or not visible_to(image, caller):
        raise RequestError(f"{field}: image {image_id} could not be found.")
    return image


def _check_host(session: Session, server: Server, image: Image) -> None:
    """The server stays on its host, with the room that it holds there. Raises ImageUnusable."""
    host = server.hypervisor
    if hardware_of(image.properties).firmware == "uefi" and host is not None and not host.uefi:
        raise ImageUnusable(f"Image {image.id} needs UEFI, which the server's host does not have.")
    held = session.get(Allocation, (server.id, server.hypervisor_id))
    if server.root_gib or held is None:
        return
    # A flavor's disk of 0 is as large as the image, and that much was claimed.
    size = Size.of_server(server, session.get_one(RequestSpec, server.id))
    needed_gib, held_gib = virtual_gib(image), size.image_gib(held.disk_gib)
    if needed_gib > held_gib:
        raise ImageUnusable(
            f"Image {image.id} holds a disk of {needed_gib} GiB; the server has {held_gib} GiB"
            " for it on its host."
        )


def _change(
    session: Session, server: Server, image: Image, wanted: Rebuild, admin_pass: str
) -> None:
    spec = session.get_one(RequestSpec, server.id)
    metadata = server.user_metadata if wanted.metadata is None else wanted.metadata
    check_count(session, server.project_id, metadata)
    check_boot_properties(merged(image.properties, metadata))
    project = session.get_one(Project, server.project_id)
    injected_files.check(project, wanted.files, config_drive=server.config_drive)
    server.image_id, server.user_metadata = image.id, metadata
    server.name = wanted.name or server.name
    server.disk_config = wanted.disk_config or server.disk_config
    spec.image_words, spec.admin_pass = image_words(image.properties), admin_pass
    spec.files = injected_files.kept(wanted.files)
    if "description" in wanted.others:
        server.description = wanted.others["description"]
    if "user_data" in wanted.others:
        spec.user_data = wanted.others["user_data"] or ""
    if "key_name" in wanted.others:
        server.key_name = wanted.others["key_name"]
        spec.public_key = public_key(session, server.user_id, server.key_name)
    if server.fault is not None:
        session.delete(server.fault)
