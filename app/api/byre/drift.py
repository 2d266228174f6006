"""Drift: what is on hosts and should not be there, and what should be there and is not."""

from dataclasses import asdict
from typing import Any, get_args

from marshmallow import Schema, fields, validate

from app.api.auth import context
from app.api.dialects import BYRE
from app.api.routes import Routes
from app.api.times import micro_time
from app.services import drift
from app.services.drift import DriftFilter, DriftView, LookedAt
from tasks.messages import ThingKind

routes = Routes(BYRE, "drift", "What hosts have and should not, and the reverse.", "/byre/v1")

Json = dict[str, Any]

DIRECTIONS = (drift.UNOWNED, drift.MISSING)
KINDS = (*get_args(ThingKind), drift.ALLOCATION)


class DriftQuery(Schema):
    """Which drift is wanted."""

    host = fields.String()
    server_id = fields.String()
    direction = fields.String(validate=validate.OneOf(DIRECTIONS))
    kind = fields.String(validate=validate.OneOf(KINDS))


class DriftSchema(Schema):
    """One thing that has no owner where it is, or that a server lacks; what will be done, when."""

    host = fields.String(required=True)
    direction = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    server_id = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    first_seen_at = fields.String(required=True)
    last_seen_at = fields.String(required=True)
    next_action = fields.String(required=True, allow_none=True)
    next_action_at = fields.String(required=True, allow_none=True)


class LookedAtSchema(Schema):
    """A host, and when it was looked through last: of a silent one, no drift means nothing."""

    host = fields.String(required=True)
    alive = fields.Boolean(required=True)
    surveyed_at = fields.String(required=True, allow_none=True)


class DriftAnswer(Schema):
    """Drift, the oldest first, and the hosts that it was looked for on."""

    drift = fields.List(fields.Nested(DriftSchema), required=True)
    hosts = fields.List(fields.Nested(LookedAtSchema), required=True)


@routes.endpoint("GET", "/drift", "drift:list", query=DriftQuery, returns=DriftAnswer)
def list_drift(query: dict[str, str]) -> Any:
    """List what is on hosts without an owner, and what servers lack there"""
    report = drift.listed(context(), DriftFilter(**query))
    return {
        "drift": [_drift(view) for view in report.drift],
        "hosts": [_host(view) for view in report.hosts],
    }


def _drift(view: DriftView) -> Json:
    return {
        **asdict(view),
        "first_seen_at": micro_time(view.first_seen_at),
        "last_seen_at": micro_time(view.last_seen_at),
        "next_action_at": micro_time(view.next_action_at),
    }


def _host(view: LookedAt) -> Json:
    return {**asdict(view), "surveyed_at": micro_time(view.surveyed_at)}
