"""Images of servers: written first, given their bytes by a run on the server's host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app.db.models import Image, RequestSpec, Server
from app.db.repo import images
from app.services import server_actions
from app.services.context import Caller, Context
from app.services.image_properties import check_properties
from app.services.server_actions import IMAGE
from app.services.server_metadata import check_count
from tasks.pipelines import CREATE_BACKUP, CREATE_IMAGE

#: Nova's defaults of `non_inheritable_image_properties`: what an image says of its own bytes.
_OF_THE_BYTES = frozenset(
    {
        "cache_in_nova",
        "bittorrent",
        "img_signature_hash_method",
        "img_signature",
        "img_signature_key_type",
        "img_signature_certificate_uuid",
    }
)


@dataclass(frozen=True)
class NewSnapshot:
    """An image to be made of a server."""

    name: str
    metadata: Mapping[str, str] = field(default_factory=dict)


def create_image(context: Context, caller: Caller, server_id: str, new: NewSnapshot) -> str:
    """Begin an image of the server's root disk, and return its id. Raises NotFound, RequestError,
    Forbidden, and Conflict as any action."""

    def prepare(session: Session, server: Server) -> dict[str, Any]:
        image = add_image(session, server, caller, new, {"image_type": "snapshot"})
        return {IMAGE: image.id}

    return str(server_actions.begin(context, caller, server_id, CREATE_IMAGE, prepare).image_id)


def create_backup(
    context: Context,
    caller: Caller,
    server_id: str,
    new: NewSnapshot,
    *,
    backup_type: str,
    rotation: int,
) -> str:
    """The same, and let go of the server's oldest backups of the type beyond `rotation`."""

    def prepare(session: Session, server: Server) -> dict[str, Any]:
        kind = {"image_type": "backup", "backup_type": backup_type}
        image = add_image(session, server, caller, new, kind)
        return {IMAGE: image.id, "backup_type": backup_type, "rotation": rotation}

    return str(server_actions.begin(context, caller, server_id, CREATE_BACKUP, prepare).image_id)


def add_image(
    session: Session,
    server: Server,
    caller: Caller,
    new: NewSnapshot,
    kind: Mapping[str, str],
) -> Image:
    """Add the record of an image that the server's root disk becomes: with the words of the image
    that the server was made from, by which the next one starts as well. Raises RequestError,
    QuotaExceeded."""
    check_count(session, server.project_id, new.metadata, "Image metadata limit exceeded")
    base = images.get(session, server.image_id)
    spec = session.get(RequestSpec, server.id)
    properties = {
        **_inherited(base, spec),
        **new.metadata,
        **kind,
        "base_image_ref": server.image_id,
        "instance_uuid": server.id,
        "owner_id": server.project_id,
        "user_id": caller.user_id,
    }
    check_properties(properties)
    return images.add_disk(
        session,
        caller.project_id,
        new.name,
        properties,
        min_disk_gib=server.root_gib or (base.min_disk_gib if base else 0),
        min_ram_mib=base.min_ram_mib if base else 0,
    )


def _inherited(base: Image | None, spec: RequestSpec | None) -> dict[str, Any]:
    """What the image said at the server's creation holds; the rest is as it says now."""
    said = dict(base.properties) if base else {}
    words = dict(spec.image_words) if spec else {}
    return {name: value for name, value in (said | words).items() if name not in _OF_THE_BYTES}
