"""What is done to a server: one action a request."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Response, jsonify
from marshmallow import ValidationError, fields, pre_load, validate, validates_schema

from app.api.auth import caller, context, require
from app.api.compute import remote_consoles, server_life, server_resize
from app.api.compute.remote_consoles import ConsoleActions, ConsoleView
from app.api.compute.schema import (
    Count,
    Json,
    MetadataField,
    Strict,
    Text,
    answer,
    must_be_null,
    name_like,
)
from app.api.compute.server_life import LifeActions, RebuiltServer
from app.api.compute.server_resize import ResizeActions
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import base_url
from app.api.microversions import not_there
from app.api.routes import Routes
from app.api.versioned import since, until
from app.services import (
    consoles,
    server_actions,
    server_floating_ips,
    server_security,
    servers,
    shelving,
    snapshots,
)
from app.services.context import Caller, Context
from app.services.snapshots import NewSnapshot
from tasks import pipelines

routes = Routes(COMPUTE, "server-actions", "What is done to servers.", "/v2.1/servers")


class NamedGroup(Strict):
    """A group, by name or id."""

    name = Text(required=True, validate=validate.Length(min=1, max=255))


class Reboot(Strict):
    """How to reboot: by asking the guest, or by cutting its power."""

    type = Text(required=True, validate=validate.OneOf(("SOFT", "HARD", "soft", "hard")))


class ResetState(Strict):
    """As what to show the server."""

    state = Text(required=True, validate=validate.OneOf(("active", "error")))


class AddFloatingIp(Strict):
    """A floating IP, and the fixed address that it is to stand for."""

    address = Text(required=True, validate=validate.Length(min=1, max=64))
    fixed_address = Text(validate=validate.Length(min=1, max=64))


class RemoveFloatingIp(Strict):
    """A floating IP."""

    address = Text(required=True, validate=validate.Length(min=1, max=64))


def _bare(name: str) -> fields.Field[Any]:
    """Return an action that has nothing to say: clients send null, {} and other things."""
    return fields.Raw(data_key=name, allow_none=True)


class CreateImageAction(Strict):
    """What the image is called, and what else it shall say."""

    name = Text(required=True, validate=name_like)
    metadata = MetadataField(load_default=dict)


class CreateBackupAction(CreateImageAction):
    """Of which series the backup is, and how many of it are kept."""

    backup_type = Text(required=True, validate=name_like)
    rotation = Count(required=True, validate=validate.Range(min=0))


class GetConsoleOutput(Strict):
    """How many of the last lines; all if it is not said."""

    length = Count(allow_none=True, validate=validate.Range(min=-1))


#: Of the actions that are answered with something, each with its own.
ActionAnswer = answer(
    "ServerActionAnswer",
    output=fields.String(),
    adminPass=fields.String(),
    console=fields.Nested(ConsoleView),
)


#: What a rebuild is answered, and an image.
Accepted = answer(
    "ServerActionAccepted",
    server=fields.Nested(RebuiltServer),
    image_id=since(Gate.IMAGE_ID, fields.String()),
)


class ServerAction(LifeActions, ResizeActions, ConsoleActions):
    """What is to be done to a server: one thing."""

    addSecurityGroup = fields.Nested(NamedGroup)  # noqa: N815
    removeSecurityGroup = fields.Nested(NamedGroup)  # noqa: N815
    addFloatingIp = until(  # noqa: N815
        Gate.NO_ADDRESS_ACTIONS, fields.Nested(AddFloatingIp)
    )
    removeFloatingIp = until(  # noqa: N815
        Gate.NO_ADDRESS_ACTIONS, fields.Nested(RemoveFloatingIp)
    )
    start = _bare("os-start")
    stop = _bare("os-stop")
    reboot = fields.Nested(Reboot)
    pause = _bare("pause")
    unpause = _bare("unpause")
    suspend = _bare("suspend")
    resume = _bare("resume")
    lock = _bare("lock")
    unlock = _bare("unlock")
    forceDelete = _bare("forceDelete")  # noqa: N815
    resetState = fields.Nested(ResetState, data_key="os-resetState")  # noqa: N815

    crashDump = since(  # noqa: N815
        Gate.CRASH_DUMP,
        fields.Raw(data_key="trigger_crash_dump", allow_none=True, validate=must_be_null),
    )
    shelve = _bare("shelve")
    shelveOffload = _bare("shelveOffload")  # noqa: N815
    unshelve = _bare("unshelve")
    createImage = fields.Nested(CreateImageAction)  # noqa: N815
    createBackup = fields.Nested(CreateBackupAction)  # noqa: N815
    console = fields.Nested(GetConsoleOutput, data_key="os-getConsoleOutput", allow_none=True)

    @pre_load
    def _check_version(self, data: Any, **_: Any) -> Any:
        """An action of another microversion is as a route of it."""
        if isinstance(data, Mapping) and not self.closed().isdisjoint(data):
            raise not_there()
        return data

    @validates_schema
    def _check_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("must name one action.")


#: What each field is called in the request, and in the policy.
NAMES = {name: field.data_key or name for name, field in ServerAction().fields.items()}

#: Does one action: called with the context, the caller, the server's id and what was said of it.
#: What it returns is answered.
Doer = Callable[[Context, Caller, str, Any], Json | Response | None]


def _begin(pipeline: str, context: Context, who: Caller, server_id: str, _: Any) -> None:
    server_actions.begin(context, who, server_id, pipeline)


def _reboot(context: Context, who: Caller, server_id: str, how: Json) -> None:
    is_hard = how["type"].upper() == "HARD"
    pipeline = pipelines.HARD_REBOOT if is_hard else pipelines.REBOOT
    server_actions.begin(context, who, server_id, pipeline)


def _console(context: Context, who: Caller, server_id: str, how: Json | None) -> Json:
    lines = (how or {}).get("length")
    return {"output": consoles.output(context, who, server_id, lines)}


def _create_image(context: Context, who: Caller, server_id: str, said: Json) -> Response:
    new = NewSnapshot(said["name"], said["metadata"])
    return _image_begun(snapshots.create_image(context, who, server_id, new))


def _create_backup(context: Context, who: Caller, server_id: str, said: Json) -> Response:
    new = NewSnapshot(said["name"], said["metadata"])
    backup_type, rotation = said["backup_type"], said["rotation"]
    image_id = snapshots.create_backup(
        context, who, server_id, new, backup_type=backup_type, rotation=rotation
    )
    # As in Nova: what is not kept is not named.
    return _image_begun(image_id if rotation else None)


def _image_begun(image_id: str | None) -> Response:
    if Gate.IMAGE_ID.is_open and image_id:
        told = jsonify({"image_id": image_id})
        told.status_code = 202
        return told
    where = {"Location": f"{base_url()}/compute/v2.1/images/{image_id}"} if image_id else {}
    response = Response(status=202, headers=where)
    del response.headers["Content-Type"]
    return response


_DOERS: dict[str, Doer] = {
    "start": partial(_begin, pipelines.START),
    "stop": partial(_begin, pipelines.STOP),
    "reboot": _reboot,
    "pause": partial(_begin, pipelines.PAUSE),
    "unpause": partial(_begin, pipelines.UNPAUSE),
    "suspend": partial(_begin, pipelines.SUSPEND),
    "resume": partial(_begin, pipelines.RESUME),
    "crashDump": partial(_begin, pipelines.TRIGGER_CRASH_DUMP),
    "lock": lambda context, who, server_id, _: server_actions.lock(context, who, server_id),
    "unlock": lambda context, who, server_id, _: server_actions.unlock(context, who, server_id),
    # There is no softer deletion here than the usual one.
    "forceDelete": lambda context, who, server_id, _: servers.delete(context, who, server_id),
    "resetState": lambda context, who, server_id, how: server_actions.reset_state(
        context, who, server_id, how["state"]
    ),
    "console": _console,
    **remote_consoles.DOERS,
    **server_life.DOERS,
    "shelve": lambda context, who, server_id, _: shelving.shelve(context, who, server_id),
    "shelveOffload": lambda context, who, server_id, _: shelving.offload(context, who, server_id),
    "unshelve": lambda context, who, server_id, _: shelving.unshelve(context, who, server_id),
    "createImage": _create_image,
    "createBackup": _create_backup,
    **server_resize.DOERS,
    "addSecurityGroup": lambda context, who, server_id, group: server_security.add(
        context, who, server_id, group["name"]
    ),
    "addFloatingIp": lambda context, who, server_id, said: server_floating_ips.add(
        context, who, server_id, said["address"], said.get("fixed_address")
    ),
    "removeFloatingIp": lambda context, who, server_id, said: server_floating_ips.remove(
        context, who, server_id, said["address"]
    ),
    "removeSecurityGroup": lambda context, who, server_id, group: server_security.remove(
        context, who, server_id, group["name"]
    ),
}


@routes.endpoint(
    "POST",
    "/<server_id>/action",
    "servers:act",
    body=ServerAction,
    status=202,
    also={200: ActionAnswer, 202: Accepted, 204: None},
    errors=(403, 404, 409, 501),
)
def act(body: Json, server_id: str) -> Any:
    """Start, stop, reboot, pause, suspend, lock, rebuild or resize a server, change its groups,
    read or open its console

    Or shelve it, or make an image or a backup of it, whose place the answer's `Location` says; from
    2.45 on, whose id the answer is.
    """
    [(name, said)] = body.items()
    require(f"compute:servers:act:{NAMES[name]}", server_id)
    given = _DOERS[name](context(), caller(), server_id, said)
    return given if given is None or isinstance(given, Response) else jsonify(given)
