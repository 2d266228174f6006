"""Actions that give a server another flavor, and those that would move it to another host, as parts
of the one route for actions."""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Response, jsonify
from marshmallow import ValidationError, fields, validate, validates_schema
from werkzeug import exceptions

from app.api.compute.schema import Flag, Json, Strict, Text, must_be_null
from app.api.gates import Gate
from app.api.versioned import Changed, since, until
from app.services import evacuating, moving, resizing, servers
from app.services.context import Caller, Context
from app.services.evacuating import Evacuation
from tasks.errors import RequestError


class Resize(Strict):
    """To which flavor."""

    flavorRef = Text(required=True, validate=validate.Length(min=1, max=255))  # noqa: N815
    disk_config = Text(data_key="OS-DCF:diskConfig", validate=validate.OneOf(("AUTO", "MANUAL")))


def _host_like(value: str) -> None:
    if not re.fullmatch(r"[\w.-]*", value, re.ASCII):
        raise ValidationError("is not a host's name.")


def _host(**more: Any) -> Text:
    """Return the field that names a host."""
    return Text(validate=(validate.Length(min=1, max=255), _host_like), **more)


class _Auto(Flag):
    """A boolean, or `auto`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return value if value == "auto" else super()._deserialize(value, *args, **kwargs)


class _Forced(Strict):
    """Where a server is to go, which only somebody who names a host may insist on."""

    @validates_schema
    def _check_forced(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("force") and not data.get("host"):
            raise ValidationError("Can't force to a non-provided destination", "force")


class Migrate(Strict):
    """To which host; null is any."""

    host = _host(allow_none=True)


class MigrateLive(_Forced):
    """To which host, and what of its disks."""

    host = _host(required=True, allow_none=True)
    block_migration = Changed(Gate.LIVE_MIGRATE_BODY, Flag(), _Auto(), required=True)
    disk_over_commit = until(Gate.LIVE_MIGRATE_BODY, Flag())
    force = since(Gate.LIVE_MIGRATE_CHECKED, Flag())

    @validates_schema
    def _check_whole(self, data: Mapping[str, Any], **_: Any) -> None:
        if not Gate.LIVE_MIGRATE_BODY.is_open and "disk_over_commit" not in data:
            raise ValidationError("Missing data for required field.", "disk_over_commit")


class Evacuate(_Forced):
    """To which host, and how it is built there."""

    host = _host()
    adminPass = Text()  # noqa: N815
    onSharedStorage = until(Gate.EVACUATE_BODY, Flag())  # noqa: N815
    force = since(Gate.EVACUATE_CHECKED, Flag())

    @validates_schema
    def _check_whole(self, data: Mapping[str, Any], **_: Any) -> None:
        if not Gate.EVACUATE_BODY.is_open and "onSharedStorage" not in data:
            raise ValidationError("Missing data for required field.", "onSharedStorage")


class ResizeActions(Strict):
    """Actions on a server's size and place."""

    resize = fields.Nested(Resize)
    confirmResize = fields.Raw(allow_none=True)  # noqa: N815
    revertResize = fields.Raw(allow_none=True)  # noqa: N815
    migrate = Changed(
        Gate.MIGRATE_HOST,
        fields.Raw(allow_none=True, validate=must_be_null),
        fields.Nested(Migrate, allow_none=True),
        allow_none=True,
    )
    migrateLive = fields.Nested(MigrateLive, data_key="os-migrateLive")  # noqa: N815
    evacuate = fields.Nested(Evacuate)


def _resize(context: Context, who: Caller, server_id: str, how: Json) -> None:
    resizing.resize(context, who, server_id, how["flavorRef"], how.get("disk_config"))


def _confirm(context: Context, who: Caller, server_id: str, _: Any) -> Response:
    resizing.confirm(context, who, server_id)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _revert(context: Context, who: Caller, server_id: str, _: Any) -> None:
    resizing.revert(context, who, server_id)


def _migrate(context: Context, who: Caller, server_id: str, how: Json | None) -> None:
    moving.migrate(context, who, server_id, (how or {}).get("host"))


def _evacuate(context: Context, who: Caller, server_id: str, how: Json) -> Response:
    if how.get("force"):
        # Of a server that there is not, that is said first.
        servers.get(context, who, server_id)
        # Room is always claimed by the scheduler's rules: there is no way around them to offer.
        raise exceptions.NotImplemented("No server is forced on a host that refuses it.")
    if how.get("onSharedStorage"):
        raise RequestError("evacuate.onSharedStorage: hosts share no storage.")
    wanted = Evacuation(how.get("host"), how.get("adminPass"))
    admin_pass = evacuating.evacuate(context, who, server_id, wanted)
    if Gate.EVACUATE_BODY.is_open:
        return Response(status=200)
    return jsonify({"adminPass": admin_pass})


def _stay(context: Context, who: Caller, server_id: str, _: Any) -> NoReturn:
    """Refuse what no hypervisor here does, once it is clear that there is a server: what is
    accepted has to be done."""
    servers.get(context, who, server_id)
    # Nothing carries a guest's memory to another host.
    raise exceptions.NotImplemented(
        "Servers are stopped to be moved to another host: see `migrate`."
    )


DOERS: Mapping[str, Any] = {
    "resize": _resize,
    "confirmResize": _confirm,
    "revertResize": _revert,
    "migrate": _migrate,
    "migrateLive": _stay,
    "evacuate": _evacuate,
}
