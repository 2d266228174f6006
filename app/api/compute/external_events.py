"""What other services tell of servers. Byre's network is its own, and its hosts are looked through
anyway: an event that is taken changes nothing, and one for no server here is told apart."""

from typing import Any

from marshmallow import Schema, fields, validate

from app.api.auth import context
from app.api.compute.schema import Json, Strict, Text, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import servers
from tasks.errors import NotFound

routes = Routes(
    COMPUTE,
    "external_events",
    "What other services tell of servers.",
    "/v2.1/os-server-external-events",
)

#: Those that there are at 2.1.
NAMES = (
    "network-changed",
    "network-vif-plugged",
    "network-vif-unplugged",
    "network-vif-deleted",
)
STATUSES = ("failed", "completed", "in-progress")

#: Events in one request.
_MOST = 1000


class ExternalEvent(Strict):
    """Something that has happened to a server."""

    name = Text(required=True, validate=validate.OneOf(NAMES))
    server_uuid = fields.UUID(required=True)
    status = Text(validate=validate.OneOf(STATUSES))
    tag = Text(validate=validate.Length(min=1, max=255))


class ExternalEvents(Strict):
    """Several of them."""

    events = fields.List(
        fields.Nested(ExternalEvent), required=True, validate=validate.Length(min=1, max=_MOST)
    )


class NotedEvent(Schema):
    """What was made of an event: 200 taken, 404 no such server, 422 a server without a host."""

    name = fields.String(required=True)
    server_uuid = fields.String(required=True)
    status = fields.String(required=True)
    tag = fields.String()
    code = fields.Integer(required=True)


Noted = answer("ExternalEventsAnswer", events=fields.List(fields.Nested(NotedEvent), required=True))


@routes.endpoint(
    "POST",
    "",
    "external_events:tell",
    body=ExternalEvents,
    returns=Noted,
    also={207: Noted},
    errors=(404,),
)
def tell_events(body: Json) -> Any:
    """Tell what has happened to servers; 207 if not all events were taken"""
    known = servers.placed(context(), {str(one["server_uuid"]) for one in body["events"]})
    if not known:
        raise NotFound("No instances found for any event")
    noted = [_noted(one, known.get(str(one["server_uuid"]))) for one in body["events"]]
    is_whole = all(one["code"] == 200 for one in noted)
    return {"events": noted}, 200 if is_whole else 207


def _noted(event: Json, has_host: bool | None) -> Json:  # noqa: FBT001 - None: no server
    code = {None: 404, False: 422, True: 200}[has_host]
    status = event.get("status", "completed") if code == 200 else "failed"
    return {**event, "server_uuid": str(event["server_uuid"]), "status": status, "code": code}
