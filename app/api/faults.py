"""Errors on their way out. The only place that knows which error is which HTTP status."""

from collections.abc import Iterator, Mapping
from html import escape
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from app.api.dialects import IDENTITY, IMAGE, Problem, dialect_of, keystone_error
from app.api.links import base_url
from tasks.errors import (
    ByreError,
    Conflict,
    Forbidden,
    NotFound,
    NotSupported,
    RequestError,
    TooLarge,
    TooManyRequests,
    TransientError,
    Unauthorized,
)

log = structlog.get_logger(__name__)

#: The first row that fits decides.
STATUS: tuple[tuple[type[ByreError], int], ...] = (
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (TooManyRequests, 429),
    (NotSupported, 501),
    (RequestError, 400),
    (TransientError, 503),
    (ByreError, 500),
)

UNEXPECTED = (
    "Unexpected API Error. The request id in the header x-openstack-request-id finds it in the"
    " operator's log."
)

#: OpenStack's words where Flask's are meant for people with a browser.
_TEXTS = {
    404: "The resource could not be found.",
    405: "The method specified is not allowed for this resource.",
    413: "The request body is larger than the limit.",
}


def register(app: Flask) -> None:
    """Let every error of the application out through here."""
    app.register_error_handler(ByreError, _answer_byre)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_unexpected)


def _answer_byre(error: ByreError) -> Response:
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    told = {"code": error.code, "status": status, "reason": error.public, "facts": error.facts}
    # Of what is not supported too its owner is told the reason.
    if isinstance(error, RequestError):
        log.info("request.refused", **told)
        return _answer(Problem(status, error.public, error.code))
    log.error("request.failed", **told)
    # Only a fault that passes is worth telling: the client may try again.
    return _answer(Problem(status, error.public if status == 503 else UNEXPECTED, error.code))


def _answer_http(error: HTTPException) -> Response:
    """What Flask itself refuses, and what did not pass a schema."""
    if error.response is not None and isinstance(error.response, Response):
        return error.response
    status = error.code or 500
    messages = getattr(error, "data", {}).get("messages")
    text = explain(messages) if messages else _TEXTS.get(status, str(error.description))
    log.info("request.refused", code="http", status=status, reason=text)
    return _answer(Problem(status, text, "bad_request" if status == 400 else "http"))


def _answer_unexpected(error: Exception) -> Response:
    log.error("request.crashed", exc_info=error)
    return _answer(Problem(500, UNEXPECTED, "internal_error"))


def _answer(problem: Problem) -> Response:
    if problem.status == 401:
        response = jsonify(keystone_error(problem))
        response.headers["WWW-Authenticate"] = f'Keystone uri="{base_url()}{IDENTITY.prefix}/v3"'
    elif dialect_of(request.path) is IMAGE and not _json_is_asked_for():
        response = _page(problem)
    else:
        response = jsonify(dialect_of(request.path).write(problem))
    response.status_code = problem.status
    return response


def _json_is_asked_for() -> bool:
    """Glance gives its errors as JSON to who names JSON; python-glanceclient does not, and breaks
    on it. Who says nothing at all gets JSON."""
    kinds = list(request.accept_mimetypes.values())
    return not kinds or any(kind.startswith("application/") for kind in kinds)


def _page(problem: Problem) -> Response:
    """Return Glance's other form, whose lines clients show without their tags."""
    title = f"{problem.status} {HTTPStatus(problem.status).phrase}"
    text = escape(problem.message, quote=False)
    return Response(
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{text}\n"
        "</body>\n</html>\n",
        mimetype="text/html",
    )


def explain(messages: Mapping[str, Any]) -> str:
    """Return what a schema found wrong as one text that names each field."""
    problems = []
    for location, found in messages.items():
        for path, text in _flatten(found):
            if not path:
                problems.append("Malformed request body" if location == "json" else text)
            else:
                problems.append(f"Invalid input for field/attribute {'.'.join(path)}: {text}")
    return " ".join(problems)


def _flatten(found: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(found, Mapping):
        for name, inner in found.items():
            yield from _flatten(inner, path if name == "_schema" else (*path, str(name)))
    elif isinstance(found, list):
        for inner in found:
            yield from _flatten(inner, path)
    else:
        yield path, str(found)
