"""Consoles to look at and to type into: where they are, as a URL for one visit."""

from functools import partial
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.api.auth import caller, context
from app.api.compute.schema import Json, Strict, Text, answer, wrapped
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.api.versioned import until
from app.services import remote_consoles, servers
from app.services.context import Caller, Context
from tasks.errors import NotFound, RequestError
from tasks.messages import ConsoleKind

routes = Routes(COMPUTE, "remote-consoles", "Servers' consoles.", "/v2.1")

#: Nova's protocol and type of each console that there is here.
_KINDS: dict[tuple[str, str], ConsoleKind] = {
    ("vnc", "novnc"): "vnc",
    ("serial", "serial"): "serial",
}
#: Protocol -> its types, of all that Nova knows.
_TYPES = {
    "vnc": ("novnc", "xvpvnc"),
    "spice": ("spice-html5",),
    "rdp": ("rdp-html5",),
    "serial": ("serial",),
    "mks": ("webmks",),
}


class ConsoleView(Schema):
    """Where a console is."""

    type = fields.String(required=True)
    url = fields.String(required=True)


class RemoteConsoleView(ConsoleView):
    """Where a console is, and what it speaks."""

    protocol = fields.String(required=True)


def _action(protocol: str, name: str) -> fields.Field[Any]:
    """Return the action that asks for a console of a protocol: its type is said."""
    types = validate.OneOf(_TYPES[protocol])
    inner = Strict.from_dict({"type": Text(required=True, validate=types)}, name=name)
    return until(Gate.REMOTE_CONSOLES, fields.Nested(inner, data_key=f"os-{name}"))


class ConsoleActions(Strict):
    """Which console is asked for."""

    vnc_console = _action("vnc", "getVNCConsole")
    serial_console = _action("serial", "getSerialConsole")
    spice_console = _action("spice", "getSPICEConsole")
    rdp_console = _action("rdp", "getRDPConsole")


class RemoteConsole(Strict):
    """Which console."""

    protocol = Text(required=True, validate=validate.OneOf(tuple(_TYPES)))
    type = Text(required=True, validate=validate.OneOf(sum(_TYPES.values(), ())))

    @validates_schema
    def _check_type(self, data: Json, **_: Any) -> None:
        if data["type"] not in _TYPES[data["protocol"]]:
            raise ValidationError(f"Invalid console type {data['type']}", "type")


def console_of(
    context: Context, who: Caller, server_id: str, protocol: str, console_type: str
) -> Json:
    """Return type and URL of a server's console. Raises RequestError for one that there is not
    here, NotFound, and Conflict."""
    kind = _KINDS.get((protocol, console_type))
    if kind is None:
        servers.get(context, who, server_id)
        raise RequestError(f"Unavailable console type {console_type}.")
    url = remote_consoles.open_console(context, who, server_id, kind)
    return {"type": console_type, "url": url}


def _get(protocol: str, context: Context, who: Caller, server_id: str, said: Json) -> Json:
    """Answer such an action. Raises what `console_of` raises."""
    return {"console": console_of(context, who, server_id, protocol, said["type"])}


DOERS: dict[str, Any] = {
    "vnc_console": partial(_get, "vnc"),
    "serial_console": partial(_get, "serial"),
    "spice_console": partial(_get, "spice"),
    "rdp_console": partial(_get, "rdp"),
}


@routes.endpoint(
    "POST",
    "/servers/<server_id>/remote-consoles",
    "remote_consoles:create",
    body=wrapped("remote_console", RemoteConsole),
    returns=answer(
        "RemoteConsoleAnswer", remote_console=fields.Nested(RemoteConsoleView, required=True)
    ),
    errors=(404, 409),
    since=Gate.REMOTE_CONSOLES,
)
def create(body: Json, server_id: str) -> Any:
    """Give the URL of a server's console, good for one visit"""
    asked = body["remote_console"]
    protocol = asked["protocol"]
    found = console_of(context(), caller(), server_id, protocol, asked["type"])
    return {"remote_console": {"protocol": protocol, **found}}


class TokenTarget(Schema):
    """What a console's token leads to."""

    instance_uuid = fields.String(required=True)
    host = fields.String(required=True)
    port = fields.Integer(required=True)
    internal_access_path = fields.String(required=True, allow_none=True)


@routes.endpoint(
    "GET",
    "/os-console-auth-tokens/<token>",
    "console_auth_tokens:show",
    returns=answer("TokenTargetAnswer", console=fields.Nested(TokenTarget, required=True)),
    errors=(404,),
)
def show_token(token: str) -> Any:
    """Tell where a console's token leads that was not used yet"""
    if not Gate.CONSOLE_TOKENS.is_open:
        # Tokens of RDP consoles only, and there are none.
        raise NotFound("Token not found")
    found = remote_consoles.show(context(), token)
    return {
        "console": {
            "instance_uuid": found.server_id,
            "host": found.address,
            "port": found.port,
            "internal_access_path": None,
        }
    }
