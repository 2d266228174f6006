"""Rescue a server: start it from another image, with its own disk beside that one's."""

from sqlalchemy.orm import Session

from app.db.models import Image, Server
from app.services import server_actions
from app.services.context import Caller, Context
from app.services.image_fit import check_fits
from app.services.new_servers import new_password
from app.services.rebuilds import usable_image
from tasks.errors import ImageUnusable
from tasks.pipelines import RESCUE


def begin(
    context: Context,
    caller: Caller,
    server_id: str,
    image_id: str | None = None,
    admin_pass: str | None = None,
) -> str:
    """Begin the rescue, from the server's own image if none is named, and return the rescue's
    password. Raises as `server_actions.begin`, and RequestError and ImageUnusable for an image that
    cannot be used."""
    password = admin_pass or new_password()

    def prepare(session: Session, server: Server) -> dict[str, object]:
        image = usable_image(session, caller, image_id or server.image_id, "rescue_image_ref")
        _check(image, server)
        return {"rescue_image_id": image.id, "admin_pass": password}

    server_actions.begin(context, caller, server_id, RESCUE, prepare)
    return password


def _check(image: Image, server: Server) -> None:
    if image.disk_format == "iso":
        raise ImageUnusable(
            f"Image {image.id} is a disc to install from: name the image of a disk as"
            " rescue_image_ref."
        )
    # The rescue disk is as large as its image, whatever the server's flavor gives.
    check_fits(image, root_gib=0, memory_mib=server.memory_mib)
