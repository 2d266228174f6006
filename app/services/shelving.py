"""Put servers away, in images, and take them out again."""

from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Server
from app.services import server_actions
from app.services.context import Caller, Context
from app.services.server_actions import IMAGE
from app.services.snapshots import NewSnapshot, add_image
from tasks.pipelines import OFFLOAD, SHELVE, UNSHELVE

#: As long as an image's name may be.
_NAME_LENGTH = 255
_SUFFIX = "-shelved"


def shelve(context: Context, caller: Caller, server_id: str) -> None:
    """Begin to put a server away. Raises as `server_actions.begin`."""

    def prepare(session: Session, server: Server) -> dict[str, Any]:
        new = NewSnapshot(server.name[: _NAME_LENGTH - len(_SUFFIX)] + _SUFFIX)
        image = add_image(session, server, caller, new, {"image_type": "snapshot"})
        # The server's owner has it, whoever has put the server away.
        image.project_id = server.project_id
        return {IMAGE: image.id}

    server_actions.begin(context, caller, server_id, SHELVE, prepare)


def unshelve(context: Context, caller: Caller, server_id: str) -> None:
    """Begin to take a server out again. Raises as `server_actions.begin`."""
    server_actions.begin(context, caller, server_id, UNSHELVE)


def offload(context: Context, caller: Caller, server_id: str) -> None:
    """Begin to take a shelved server off its host. Raises as `server_actions.begin`."""
    server_actions.begin(context, caller, server_id, OFFLOAD)
