"""What happens round every request: its id, its headers, its line in the log."""

import time
import uuid

import structlog
from flask import Flask, Response, g, request

from app.api import microversions
from app.api.dialects import COMPUTE, dialect_of
from app.api.texts import check_text

log = structlog.get_logger("app.api")

#: Asked for every few seconds by machines: not worth a line each.
_QUIET = frozenset({"/healthz", "/metrics", "/readyz"})

#: Below the first a request names its microversion; version documents are for all. A plan takes the
#: body of a create.
_COMPUTE, _PLAN = "/compute/v2.1/", "/byre/v1/plan"


def register(app: Flask) -> None:
    """Put this round every request of the application."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_forget)


def _begin() -> None:
    g.request_id = f"req-{uuid.uuid4()}"
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    check_text([request.path, *request.args.keys(), *request.args.values()])
    is_compute = request.path.startswith(_COMPUTE) and request.path != _COMPUTE
    if is_compute or request.path == _PLAN:
        microversions.agree(request.headers)


def _finish(response: Response) -> Response:
    response.headers["x-openstack-request-id"] = g.request_id
    if dialect_of(request.path) is COMPUTE:
        response.headers["x-compute-request-id"] = g.request_id
        microversions.write_headers(response.headers)
    if request.path not in _QUIET:
        log.info(
            "request.done",
            method=request.method,
            path=request.path,
            status=response.status_code,
            duration_ms=round((time.perf_counter() - g.began) * 1000, 1),
            client=request.remote_addr,
        )
    return response


def _forget(_: BaseException | None) -> None:
    structlog.contextvars.clear_contextvars()
