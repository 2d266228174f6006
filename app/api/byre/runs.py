"""Runs: how a server's wish is being carried out, stage by stage."""

from datetime import datetime
from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.byre.boot import ProofSchema, proof_body
from app.api.dialects import BYRE
from app.api.routes import Routes
from app.api.times import micro_time
from app.services import run_views
from app.services.run_views import AttemptView, RunView, StageView

routes = Routes(BYRE, "runs", "How a server's wish is being carried out.", "/byre/v1")

Json = dict[str, Any]


class StageSchema(Schema):
    """One stage of one attempt. The worker is told to operators only."""

    name = fields.String(required=True)
    side = fields.String(required=True)
    attempt = fields.Integer(required=True)
    state = fields.String(required=True)
    queued_at = fields.String(required=True, allow_none=True)
    started_at = fields.String(required=True, allow_none=True)
    finished_at = fields.String(required=True, allow_none=True)
    queued_ms = fields.Float(required=True, allow_none=True)
    duration_ms = fields.Float(required=True, allow_none=True)
    worker = fields.String(allow_none=True)
    reason_code = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    proofs = fields.List(fields.Nested(ProofSchema), required=True)


class RunBrief(Schema):
    """A run. Its host is told to operators only; owners get `host_id`."""

    id = fields.String(required=True)
    pipeline = fields.String(required=True)
    state = fields.String(required=True)
    attempt = fields.Integer(required=True)
    host_id = fields.String(required=True)
    host = fields.String(allow_none=True)
    request_id = fields.String(required=True)
    reason_code = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)
    created_at = fields.String(required=True)
    published_at = fields.String(required=True, allow_none=True)
    finished_at = fields.String(required=True, allow_none=True)
    deadline = fields.String(required=True)
    duration_ms = fields.Float(required=True, allow_none=True)


class AttemptSchema(Schema):
    """One try of a run. A `resumed` one was gone on with where it stood; the host of a `failed` one
    is not tried again. The host's name is told to operators only."""

    number = fields.Integer(required=True)
    host_id = fields.String(required=True)
    host = fields.String(allow_none=True)
    state = fields.String(required=True)
    started_at = fields.String(required=True)
    finished_at = fields.String(required=True, allow_none=True)
    reason_code = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True, allow_none=True)


class RunFull(RunBrief):
    """A run with its attempts and their stages; those of the present attempt come last."""

    attempts = fields.List(fields.Nested(AttemptSchema), required=True)
    stages = fields.List(fields.Nested(StageSchema), required=True)


class RunAnswer(Schema):
    """The latest wish in full, those before it, and what is or was owed on hosts for the server."""

    run = fields.Nested(RunFull, required=True)
    earlier = fields.List(fields.Nested(RunBrief), required=True)
    owed = fields.List(fields.Nested(RunBrief), required=True)


@routes.endpoint("GET", "/servers/<server_id>/run", "runs:show", returns=RunAnswer, errors=(404,))
def show_run(server_id: str) -> Any:
    """Show what is being done for a server: each stage with its times, reasons and proofs"""
    views = run_views.of_server(context(), caller(), server_id)
    latest, *earlier = views.wishes
    for_admin = caller().is_admin
    return {
        "run": {
            **_run(latest, for_admin=for_admin),
            "attempts": [_attempt(view, for_admin=for_admin) for view in latest.attempts],
            "stages": [_stage(view, for_admin=for_admin) for view in latest.stages],
        },
        "earlier": [_run(view, for_admin=for_admin) for view in earlier],
        "owed": [_run(view, for_admin=for_admin) for view in views.owed],
    }


def _run(view: RunView, *, for_admin: bool) -> Json:
    body = {
        "id": view.id,
        "pipeline": view.pipeline,
        "state": view.state,
        "attempt": view.attempt,
        "host_id": view.host_id,
        "request_id": view.request_id,
        "reason_code": view.reason_code,
        "reason": view.reason,
        "created_at": micro_time(view.created_at),
        "published_at": micro_time(view.published_at),
        "finished_at": micro_time(view.finished_at),
        "deadline": micro_time(view.deadline),
        "duration_ms": _ms(view.created_at, view.finished_at),
    }
    return {**body, "host": view.host} if for_admin else body


def _attempt(view: AttemptView, *, for_admin: bool) -> Json:
    body = {
        "number": view.number,
        "host_id": view.host_id,
        "state": view.state,
        "started_at": micro_time(view.started_at),
        "finished_at": micro_time(view.finished_at),
        "reason_code": view.reason_code,
        "reason": view.reason,
    }
    return {**body, "host": view.host} if for_admin else body


def _stage(view: StageView, *, for_admin: bool) -> Json:
    body = {
        "name": view.name,
        "side": view.side,
        "attempt": view.attempt,
        "state": view.state,
        "queued_at": micro_time(view.queued_at),
        "started_at": micro_time(view.started_at),
        "finished_at": micro_time(view.finished_at),
        "queued_ms": _ms(view.queued_at, view.started_at),
        "duration_ms": _ms(view.started_at, view.finished_at),
        "reason_code": view.reason_code,
        "reason": view.reason,
        "proofs": [proof_body(proof) for proof in view.proofs],
    }
    return {**body, "worker": view.worker} if for_admin else body


def _ms(began: datetime | None, ended: datetime | None) -> float | None:
    """Clocks of different hosts differ a little: never less than nothing."""
    if began is None or ended is None:
        return None
    return max(0.0, round((ended - began).total_seconds() * 1000, 1))
