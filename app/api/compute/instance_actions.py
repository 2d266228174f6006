"""What was done with a server, when, for whom and by which request: its runs, in Nova's words."""

from typing import Any

from marshmallow import EXCLUDE, fields, validate, validates_schema

from app.api.auth import caller, context
from app.api.compute.schema import Json, answer, links_field, since_field
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import next_page
from app.api.paging import MAX_LIMIT
from app.api.routes import Routes
from app.api.times import bare_micro_time
from app.api.versioned import Versioned, since
from app.runs.actions import word
from app.services import run_views
from app.services.run_views import RunsView, RunView, StageView
from tasks.errors import NotFound, RequestError
from tasks.pipelines import Side

routes = Routes(
    COMPUTE,
    "instance-actions",
    "What was done with servers.",
    "/v2.1/servers/<server_id>/os-instance-actions",
)

_RESULTS = {"done": "Success", "failed": "Error", "cancelled": "Error"}


class ActionSchema(Versioned):
    """One thing that was done."""

    action = fields.String(required=True)
    instance_uuid = fields.String(required=True)
    request_id = fields.String(required=True)
    user_id = fields.String(required=True)
    project_id = fields.String(required=True)
    start_time = fields.String(required=True)
    message = fields.String(required=True, allow_none=True)
    updated_at = since(Gate.ACTION_PAGES, fields.String())


class EventSchema(Versioned):
    """One step of it: a stage."""

    event = fields.String(required=True)
    start_time = fields.String(required=True, allow_none=True)
    finish_time = fields.String(required=True, allow_none=True)
    result = fields.String(required=True, allow_none=True)
    traceback = fields.String(required=True, allow_none=True)
    hostId = since(Gate.EVENT_HOST, fields.String())  # noqa: N815
    host = since(Gate.EVENT_HOST, fields.String(allow_none=True))


class FullActionSchema(ActionSchema):
    """One thing that was done, with its steps. Nova shows these to owners from 2.51 on; OpenStack's
    own command cannot do without them."""

    events = fields.List(fields.Nested(EventSchema), required=True)


class ActionQuery(Versioned):
    """Which actions to list. From 2.58 on no parameter is left out silently."""

    class Meta:
        unknown = EXCLUDE
        include = {
            "changes-since": since(Gate.ACTION_PAGES, since_field()),
        }

    limit = since(Gate.ACTION_PAGES, fields.Integer(validate=validate.Range(min=0)))
    marker = since(Gate.ACTION_PAGES, fields.String())

    @validates_schema(pass_original=True)
    def _check_unknown(self, _data: Json, original: Json, **_: Any) -> None:
        if Gate.ACTION_PAGES.is_open:
            self.refuse_unknown(original)


Actions = answer(
    "InstanceActionsAnswer",
    instanceActions=fields.List(fields.Nested(ActionSchema), required=True),
    links=since(Gate.ACTION_PAGES, links_field(required=False)),
)
Action = answer(
    "InstanceActionAnswer", instanceAction=fields.Nested(FullActionSchema, required=True)
)


@routes.endpoint(
    "GET", "", "instance_actions:show", query=ActionQuery, returns=Actions, errors=(404,)
)
def list_instance_actions(query: Json, server_id: str) -> Any:
    """List what was done with a server, newest first"""
    wishes = list(_runs(server_id).wishes)
    earliest, marker = query.get("changes-since"), query.get("marker")
    if marker is not None:
        place = next((at for at, view in enumerate(wishes) if view.request_id == marker), None)
        if place is None:
            raise RequestError(f"marker [{marker}] not found")
        wishes = wishes[place + 1 :]
    found = [view for view in wishes if earliest is None or view.changed_at >= earliest]
    limit = min(query.get("limit", MAX_LIMIT), MAX_LIMIT)
    body: Json = {"instanceActions": [_action(server_id, view) for view in found[:limit]]}
    if limit and len(found) >= limit:
        body["links"] = [{"rel": "next", "href": next_page(found[limit - 1].request_id)}]
    return body


@routes.endpoint("GET", "/<request_id>", "instance_actions:show", returns=Action, errors=(404,))
def show_instance_action(server_id: str, request_id: str) -> Any:
    """Show what a request did with a server"""
    for view in _runs(server_id).wishes:
        if view.request_id == request_id:
            events = _events(view, for_admin=caller().is_admin)
            return {"instanceAction": {**_action(server_id, view), "events": events}}
    raise NotFound(f"Action for request_id {request_id} on instance {server_id} not found")


def _runs(server_id: str) -> RunsView:
    is_told = Gate.DELETED_ACTIONS.is_open
    return run_views.of_server(context(), caller(), server_id, also_deleted=is_told)


def _action(server_id: str, view: RunView) -> Json:
    return {
        "action": word(view.pipeline),
        "instance_uuid": server_id,
        "request_id": view.request_id,
        "user_id": view.user_id,
        "project_id": view.project_id,
        "start_time": bare_micro_time(view.created_at),
        "message": "Error" if view.state == "failed" else None,
        "updated_at": bare_micro_time(view.changed_at),
    }


def _events(view: RunView, *, for_admin: bool) -> list[Json]:
    """Return the steps that were begun, newest first."""
    begun = [stage for stage in view.stages if stage.started_at is not None]
    return [_event(view, stage, for_admin=for_admin) for stage in reversed(begun)]


def _event(view: RunView, stage: StageView, *, for_admin: bool) -> Json:
    # What the control side does is done nowhere that an owner could tell apart.
    there = [one for one in view.attempts if one.number == stage.attempt]
    attempt = there[0] if there and stage.side is Side.COMPUTE else None
    body = {
        "event": stage.name,
        "start_time": bare_micro_time(stage.started_at),
        "finish_time": bare_micro_time(stage.finished_at),
        "result": _RESULTS.get(stage.state),
        "traceback": stage.reason if for_admin else None,
        "hostId": attempt.host_id if attempt else "",
    }
    if for_admin:
        body["host"] = attempt.host if attempt else None
    return body
