"""For machines that watch: is it well, and what do the numbers say."""

from typing import Any

from flask import Response
from marshmallow import Schema, fields
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from app.api.auth import context
from app.api.dialects import BYRE
from app.api.routes import Routes
from app.services import health
from app.services.health import Figures

routes = Routes(BYRE, "monitoring", "For machines that watch.")


class Health(Schema):
    """`ok` or `down`."""

    status = fields.String(required=True)
    database = fields.String(required=True)


@routes.endpoint("GET", "/healthz", "health:show", returns=Health, errors=(503,))
def show_health() -> Any:
    """Say whether this process can work: 200, or 503 without its database"""
    if health.database_answers(context()):
        return {"status": "ok", "database": "ok"}
    return {"status": "down", "database": "down"}, 503


class Ready(Schema):
    """`ready`; `degraded`: creates are accepted and wait; `down`: nothing can be done."""

    status = fields.String(required=True)
    database = fields.String(required=True)
    broker = fields.String(required=True)
    control = fields.String(required=True)


@routes.endpoint("GET", "/readyz", "health:show", returns=Ready, errors=(503,))
def show_readiness() -> Any:
    """Say whether what is accepted is carried out now: 200, or 503 with the part that is missing"""
    parts = health.readiness(context())
    status = "ready" if parts.broker and parts.control else "degraded"
    body = {
        "status": status if parts.database else "down",
        "database": _word(parts.database),
        "broker": _word(parts.broker),
        "control": _word(parts.control),
    }
    return body if body["status"] == "ready" else (body, 503)


def _word(is_there: bool) -> str:  # noqa: FBT001 - the value itself is what is named
    return "ok" if is_there else "down"


@routes.endpoint("GET", "/metrics", "metrics:show", content_type="text/plain")
def show_metrics() -> Any:
    """Count servers, runs and hosts, in Prometheus' form"""
    registry = CollectorRegistry()
    _fill(registry, health.figures(context()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _fill(registry: CollectorRegistry, figures: Figures) -> None:
    servers = Gauge("byre_servers", "Servers by status", ["status"], registry=registry)
    for status, count in figures.servers.items():
        servers.labels(status).set(count)
    runs = Gauge(
        "byre_runs", "Runs by pipeline and state", ["pipeline", "state"], registry=registry
    )
    for (pipeline, state), count in figures.runs.items():
        runs.labels(pipeline, state).set(count)
    hosts = Gauge("byre_hypervisors", "Hypervisors by life", ["state"], registry=registry)
    hosts.labels("alive").set(figures.hosts_alive)
    hosts.labels("silent").set(figures.hosts_silent)
    oldest = Gauge(
        "byre_oldest_queued_stage_seconds",
        "How long the stage that waits longest for a worker has waited",
        registry=registry,
    )
    oldest.set(figures.oldest_queued_s)
    consoles = Gauge("byre_consoles", "Open consoles by kind", ["kind"], registry=registry)
    for kind in ("vnc", "serial"):
        consoles.labels(kind).set(figures.consoles.get(kind, 0))
