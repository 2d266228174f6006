"""Volumes and their snapshots: there is no block storage service, and so there are none. What asks
for them is told so, in Nova's words for a volume that is not there."""

from typing import Any

from marshmallow import fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, Strict, Text, answer, wrapped
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.api.versioned import since
from app.services import servers
from tasks.errors import NotFound, NotSupported

attachment_routes = Routes(
    COMPUTE,
    "volume_attachments",
    "Volumes of servers: none.",
    "/v2.1/servers/<server_id>/os-volume_attachments",
)
volume_routes = Routes(COMPUTE, "volumes", "Volumes: none.", "/v2.1/os-volumes")
snapshot_routes = Routes(COMPUTE, "snapshots", "Volumes' snapshots: none.", "/v2.1/os-snapshots")

_NO_SERVICE = "there is no block storage service"

Attachments = answer(
    "VolumeAttachmentsAnswer", volumeAttachments=fields.List(fields.Dict(), required=True)
)
Volumes = answer("VolumesAnswer", volumes=fields.List(fields.Dict(), required=True))
Snapshots = answer("SnapshotsAnswer", snapshots=fields.List(fields.Dict(), required=True))


class SwapVolume(Strict):
    """The volume that is to take the place of another."""

    volumeId = fields.UUID(required=True)  # noqa: N815


class AttachVolume(SwapVolume):
    """The volume that a server is to have."""

    device = Text(allow_none=True)
    tag = since(Gate.ATTACH_TAG, Text())


@attachment_routes.endpoint("GET", "", "volumes:list", returns=Attachments, errors=(404,))
def list_attachments(server_id: str) -> Any:
    """List a server's volumes: there are none"""
    servers.get(context(), caller(), server_id)
    return {"volumeAttachments": []}


@attachment_routes.endpoint("GET", "/<volume_id>", "volumes:list", errors=(404,))
def show_attachment(server_id: str, volume_id: str) -> None:
    """Say that a server has no such volume"""
    raise _not_attached(server_id, volume_id)


@attachment_routes.endpoint(
    "POST", "", "volumes:attach", body=wrapped("volumeAttachment", AttachVolume), errors=(404,)
)
def attach_volume(body: Json, server_id: str) -> None:
    """Say that there is no such volume"""
    servers.get(context(), caller(), server_id)
    raise _no_volume(body["volumeAttachment"]["volumeId"])


@attachment_routes.endpoint(
    "PUT",
    "/<volume_id>",
    "volumes:swap",
    body=wrapped("volumeAttachment", SwapVolume),
    errors=(404,),
)
def swap_volume(_body: Json, server_id: str, volume_id: str) -> None:
    """Say that a server has no such volume"""
    raise _not_attached(server_id, volume_id)


@attachment_routes.endpoint("DELETE", "/<volume_id>", "volumes:detach", errors=(404,))
def detach_volume(server_id: str, volume_id: str) -> None:
    """Say that a server has no such volume"""
    raise _not_attached(server_id, volume_id)


# --- what 2.1 passes on to the block storage service ---------------------------------------------


@volume_routes.endpoint("GET", "", "volumes:list", returns=Volumes, until=Gate.NO_PROXIES)
def list_volumes() -> Any:
    """List volumes: there are none"""
    return {"volumes": []}


@volume_routes.endpoint("GET", "/detail", "volumes:list", returns=Volumes, until=Gate.NO_PROXIES)
def list_volumes_detail() -> Any:
    """List volumes in full: there are none"""
    return {"volumes": []}


@volume_routes.endpoint("GET", "/<volume_id>", "volumes:list", errors=(404,), until=Gate.NO_PROXIES)
def show_volume(volume_id: str) -> None:
    """Say that there is no such volume"""
    raise _no_volume(volume_id)


@volume_routes.endpoint("POST", "", "volumes:make", errors=(501,), until=Gate.NO_PROXIES)
def create_volume() -> None:
    """Say that there are no volumes"""
    raise _not_made()


@volume_routes.endpoint(
    "DELETE", "/<volume_id>", "volumes:make", errors=(404,), until=Gate.NO_PROXIES
)
def delete_volume(volume_id: str) -> None:
    """Say that there is no such volume"""
    raise _no_volume(volume_id)


@snapshot_routes.endpoint("GET", "", "volumes:list", returns=Snapshots, until=Gate.NO_PROXIES)
def list_snapshots() -> Any:
    """List volumes' snapshots: there are none"""
    return {"snapshots": []}


@snapshot_routes.endpoint(
    "GET", "/detail", "volumes:list", returns=Snapshots, until=Gate.NO_PROXIES
)
def list_snapshots_detail() -> Any:
    """List volumes' snapshots in full: there are none"""
    return {"snapshots": []}


@snapshot_routes.endpoint(
    "GET", "/<snapshot_id>", "volumes:list", errors=(404,), until=Gate.NO_PROXIES
)
def show_snapshot(snapshot_id: str) -> None:
    """Say that there is no such snapshot"""
    raise _no_snapshot(snapshot_id)


@snapshot_routes.endpoint("POST", "", "volumes:make", errors=(501,), until=Gate.NO_PROXIES)
def create_snapshot() -> None:
    """Say that there are no volumes"""
    raise _not_made()


@snapshot_routes.endpoint(
    "DELETE", "/<snapshot_id>", "volumes:make", errors=(404,), until=Gate.NO_PROXIES
)
def delete_snapshot(snapshot_id: str) -> None:
    """Say that there is no such snapshot"""
    raise _no_snapshot(snapshot_id)


def _not_attached(server_id: str, volume_id: str) -> NotFound:
    """Raises NotFound for a server that is not the caller's to see."""
    servers.get(context(), caller(), server_id)
    return NotFound(f"Instance {server_id} is not attached to volume {volume_id}")


def _no_volume(volume_id: object) -> NotFound:
    return NotFound(f"Volume {volume_id} could not be found: {_NO_SERVICE}.")


def _no_snapshot(snapshot_id: str) -> NotFound:
    return NotFound(f"Snapshot {snapshot_id} could not be found: {_NO_SERVICE}.")


def _not_made() -> NotSupported:
    return NotSupported(f"Volumes are not supported: {_NO_SERVICE}.")
