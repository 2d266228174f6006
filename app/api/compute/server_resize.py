"""Actions that give a server another flavor, and those that would move it to another host, as parts
of the one route for actions."""

from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Response
from marshmallow import fields, validate
from werkzeug import exceptions

from app.api.compute.schema import Json, Strict, Text
from app.services import resizing, servers
from app.services.context import Caller, Context


class Resize(Strict):
    """To which flavor."""

    flavorRef = Text(required=True, validate=validate.Length(min=1, max=255))  # noqa: N815
    disk_config = Text(data_key="OS-DCF:diskConfig", validate=validate.OneOf(("AUTO", "MANUAL")))


class ResizeActions(Strict):
    """Actions on a server's size and place."""

    resize = fields.Nested(Resize)
    confirmResize = fields.Raw(allow_none=True)  # noqa: N815
    revertResize = fields.Raw(allow_none=True)  # noqa: N815
    migrate = fields.Raw(allow_none=True)
    migrateLive = fields.Raw(data_key="os-migrateLive", allow_none=True)  # noqa: N815
    evacuate = fields.Raw(allow_none=True)


def _resize(context: Context, who: Caller, server_id: str, how: Json) -> None:
    resizing.resize(context, who, server_id, how["flavorRef"], how.get("disk_config"))


def _confirm(context: Context, who: Caller, server_id: str, _: Any) -> Response:
    resizing.confirm(context, who, server_id)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _revert(context: Context, who: Caller, server_id: str, _: Any) -> None:
    resizing.revert(context, who, server_id)


def _stay(context: Context, who: Caller, server_id: str, _: Any) -> NoReturn:
    """Refuse to move a server, once it is clear that there is one: nothing here carries a disk to
    another host, and what is accepted has to be done."""
    servers.get(context, who, server_id)
    raise exceptions.NotImplemented("Servers cannot be moved to another host.")


DOERS: Mapping[str, Any] = {
    "resize": _resize,
    "confirmResize": _confirm,
    "revertResize": _revert,
    "migrate": _stay,
    "migrateLive": _stay,
    "evacuate": _stay,
}
