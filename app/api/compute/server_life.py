"""Actions that make of a server another one for a while, or for good: rebuild, rescue."""

from typing import Any

from flask import Response, jsonify
from marshmallow import fields, validate

from app.api.compute.personality import personality_field, read_files
from app.api.compute.schema import Flag, Json, MetadataField, Strict, Text, answer, name_like
from app.api.compute.servers_body import ServerCore, core
from app.api.compute.servers_schema import certificates_field, description_field, user_data_field
from app.api.gates import Gate
from app.api.links import base_url
from app.api.versioned import since, until
from app.services import (
    guest_passwords,
    rebuilds,
    rescues,
    server_actions,
    server_interfaces,
    servers,
)
from app.services.context import Caller, Context
from tasks.pipelines import UNRESCUE

PASSWORD = validate.Length(min=1, max=255)


class Rebuild(Strict):
    """From which image to make a server anew, and what else is to be different."""

    class Meta:
        include = {"OS-DCF:diskConfig": Text(validate=validate.OneOf(("AUTO", "MANUAL")))}

    imageRef = Text(required=True, validate=validate.Length(min=1))  # noqa: N815
    name = Text(validate=name_like)
    adminPass = Text(validate=PASSWORD)  # noqa: N815
    metadata = MetadataField()
    preserve_ephemeral = Flag()
    description = description_field()
    key_name = since(
        Gate.REBUILD_KEY, Text(allow_none=True, validate=validate.Length(min=1, max=255))
    )
    user_data = since(Gate.NO_PERSONALITY, user_data_field())
    personality = personality_field()
    trusted_image_certificates = certificates_field()


class RebuiltServer(ServerCore):
    """A server that is being made anew."""

    adminPass = fields.String(required=True)  # noqa: N815
    key_name = since(Gate.REBUILD_KEY, fields.String(allow_none=True))
    user_data = since(Gate.NO_PERSONALITY, fields.String(allow_none=True))


RebuildAnswer = answer("RebuildAnswer", server=fields.Nested(RebuiltServer, required=True))


class Rescue(Strict):
    """From which image to start a server meanwhile, and with which password there."""

    adminPass = Text(validate=PASSWORD)  # noqa: N815
    rescue_image_ref = Text(validate=validate.Length(min=1))


class GuestPassword(Strict):
    """The administrator's new password."""

    adminPass = Text(required=True, validate=PASSWORD)  # noqa: N815


class AddFixedIp(Strict):
    """The network of which the server is to have one more address."""

    networkId = Text(required=True, validate=validate.Length(min=1))  # noqa: N815


class RemoveFixedIp(Strict):
    """The address that the server is to give up."""

    address = Text(required=True, validate=validate.Length(min=1))


class LifeActions(Strict):
    """What each of them is told."""

    rebuild = fields.Nested(Rebuild)
    rescue = fields.Nested(Rescue, allow_none=True)
    unrescue = fields.Raw(allow_none=True)
    restore = fields.Raw(allow_none=True)
    changePassword = fields.Nested(GuestPassword)  # noqa: N815
    addFixedIp = until(Gate.NO_ADDRESS_ACTIONS, fields.Nested(AddFixedIp))  # noqa: N815
    removeFixedIp = until(Gate.NO_ADDRESS_ACTIONS, fields.Nested(RemoveFixedIp))  # noqa: N815


def _rebuild(context: Context, who: Caller, server_id: str, said: Json) -> Response:
    wanted = rebuilds.Rebuild(
        image_id=_id_of(said["imageRef"]),
        name=said.get("name"),
        admin_pass=said.get("adminPass"),
        metadata=said.get("metadata"),
        disk_config=said.get("OS-DCF:diskConfig"),
        preserve_ephemeral=said.get("preserve_ephemeral", False),
        files=read_files(said),
        others={name: said[name] for name in rebuilds.OTHERS if name in said},
    )
    admin_pass = rebuilds.begin(context, who, server_id, wanted)
    view = servers.get(context, who, server_id)
    more = {"adminPass": admin_pass, "key_name": view.key_name, "user_data": view.user_data}
    told = jsonify(RebuildAnswer().dump({"server": {**core(view), **more}}))
    told.status_code = 202
    told.headers["Location"] = f"{base_url()}/compute/v2.1/servers/{server_id}"
    return told


def _rescue(context: Context, who: Caller, server_id: str, said: Json | None) -> Json:
    asked = said or {}
    image = asked.get("rescue_image_ref")
    password = rescues.begin(
        context, who, server_id, None if image is None else _id_of(image), asked.get("adminPass")
    )
    return {"adminPass": password}


def _unrescue(context: Context, who: Caller, server_id: str, _: Any) -> None:
    server_actions.begin(context, who, server_id, UNRESCUE)


def _change_password(context: Context, who: Caller, server_id: str, said: Json) -> None:
    guest_passwords.change(context, who, server_id, said["adminPass"])


def _restore(context: Context, who: Caller, server_id: str, _: Any) -> None:
    server_actions.refuse_restore(context, who, server_id)


def _add_address(context: Context, who: Caller, server_id: str, said: Json) -> None:
    server_interfaces.add_address(context, who, server_id, said["networkId"])


def _remove_address(context: Context, who: Caller, server_id: str, said: Json) -> None:
    server_interfaces.remove_address(context, who, server_id, said["address"])


def _id_of(reference: str) -> str:
    """Return the id that an image's reference ends with: old clients send a URL."""
    return reference.rpartition("/")[2]


DOERS: dict[str, Any] = {
    "rebuild": _rebuild,
    "rescue": _rescue,
    "unrescue": _unrescue,
    "changePassword": _change_password,
    "restore": _restore,
    "addFixedIp": _add_address,
    "removeFixedIp": _remove_address,
}
