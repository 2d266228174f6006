"""Actions that give a server another flavor, as parts of the one route for actions."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from marshmallow import fields, validate

from app.api.compute.schema import Json, Strict, Text
from app.services import resizing
from app.services.context import Caller, Context


class Resize(Strict):
    """To which flavor."""

    flavorRef = Text(required=True, validate=validate.Length(min=1, max=255))  # noqa: N815
    disk_config = Text(data_key="OS-DCF:diskConfig", validate=validate.OneOf(("AUTO", "MANUAL")))


class ResizeActions(Strict):
    """Actions on a server's size."""

    resize = fields.Nested(Resize)
    confirmResize = fields.Raw(allow_none=True)  # noqa: N815
    revertResize = fields.Raw(allow_none=True)  # noqa: N815


def _resize(context: Context, who: Caller, server_id: str, how: Json) -> None:
    resizing.resize(context, who, server_id, how["flavorRef"], how.get("disk_config"))


def _confirm(context: Context, who: Caller, server_id: str, _: Any) -> Response:
    resizing.confirm(context, who, server_id)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def _revert(context: Context, who: Caller, server_id: str, _: Any) -> None:
    resizing.revert(context, who, server_id)


DOERS: Mapping[str, Any] = {
    "resize": _resize,
    "confirmResize": _confirm,
    "revertResize": _revert,
}
