"""What was done with a server, when, for whom and by which request: its runs, in Nova's words."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.api.times import bare_micro_time
from app.runs.actions import word
from app.services import run_views
from app.services.run_views import RunView, StageView
from tasks.errors import NotFound

routes = Routes(
    COMPUTE,
    "instance-actions",
    "What was done with servers.",
    "/v2.1/servers/<server_id>/os-instance-actions",
)

_RESULTS = {"done": "Success", "failed": "Error", "cancelled": "Error"}


class ActionSchema(Schema):
    """One thing that was done."""

    action = fields.String(required=True)
    instance_uuid = fields.String(required=True)
    request_id = fields.String(required=True)
    user_id = fields.String(required=True)
    project_id = fields.String(required=True)
    start_time = fields.String(required=True)
    message = fields.String(required=True, allow_none=True)


class EventSchema(Schema):
    """One step of it: a stage."""

    event = fields.String(required=True)
    start_time = fields.String(required=True, allow_none=True)
    finish_time = fields.String(required=True, allow_none=True)
    result = fields.String(required=True, allow_none=True)
    traceback = fields.String(required=True, allow_none=True)


class FullActionSchema(ActionSchema):
    """One thing that was done, with its steps. Nova shows these to owners from 2.51 on; OpenStack's
    own command cannot do without them."""

    events = fields.List(fields.Nested(EventSchema), required=True)


Actions = answer(
    "InstanceActionsAnswer",
    instanceActions=fields.List(fields.Nested(ActionSchema), required=True),
)
Action = answer(
    "InstanceActionAnswer", instanceAction=fields.Nested(FullActionSchema, required=True)
)


@routes.endpoint("GET", "", "instance_actions:show", returns=Actions, errors=(404,))
def list_instance_actions(server_id: str) -> Any:
    """List what was done with a server, newest first"""
    views = run_views.of_server(context(), caller(), server_id)
    return {"instanceActions": [_action(server_id, view) for view in views.wishes]}


@routes.endpoint("GET", "/<request_id>", "instance_actions:show", returns=Action, errors=(404,))
def show_instance_action(server_id: str, request_id: str) -> Any:
    """Show what a request did with a server"""
    views = run_views.of_server(context(), caller(), server_id)
    for view in views.wishes:
        if view.request_id == request_id:
            events = _events(view, for_admin=caller().is_admin)
            return {"instanceAction": {**_action(server_id, view), "events": events}}
    raise NotFound(f"Action for request_id {request_id} on instance {server_id} not found")


def _action(server_id: str, view: RunView) -> Json:
    return {
        "action": word(view.pipeline),
        "instance_uuid": server_id,
        "request_id": view.request_id,
        "user_id": view.user_id,
        "project_id": view.project_id,
        "start_time": bare_micro_time(view.created_at),
        "message": "Error" if view.state == "failed" else None,
    }


def _events(view: RunView, *, for_admin: bool) -> list[Json]:
    """Return the steps that were begun, newest first."""
    begun = [stage for stage in view.stages if stage.started_at is not None]
    return [_event(stage, for_admin=for_admin) for stage in reversed(begun)]


def _event(stage: StageView, *, for_admin: bool) -> Json:
    return {
        "event": stage.name,
        "start_time": bare_micro_time(stage.started_at),
        "finish_time": bare_micro_time(stage.finished_at),
        "result": _RESULTS.get(stage.state),
        "traceback": stage.reason if for_admin else None,
    }
