"""How a handler is declared: one decorator gives it its route, its policy row, the schemas of what
it takes and returns, and its place in the API's document. flask-smorest does the work."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

import flask_smorest  # type: ignore[import-untyped]
from flask import Request, Response
from marshmallow import Schema
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from app.api.auth import Handler, guarded
from app.api.dialects import COMPUTE, IMAGE, Dialect, KeystoneFault
from app.api.gates import ALWAYS, Gate, Span
from app.api.texts import check_text
from app.policy import ANYONE, POLICY

H = TypeVar("H", bound=Handler)


#: How bytes and text are described.
RAW = {"type": "string", "format": "binary"}


class _Parser(FlaskParser):
    """Validation that fails is a bad request in OpenStack's words, not 422."""

    DEFAULT_VALIDATION_STATUS = 400
    # What becomes of unknown keys is each schema's own word, in the query too.
    DEFAULT_UNKNOWN_BY_LOCATION = {"json": None, "query": None, "headers": None}

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Take JSON that says it is JSON; anything else would pass for an empty body."""
        if req.content_length != 0 and not req.is_json:
            raise UnsupportedMediaType("The body must be application/json.")
        body = super().load_json(req, schema)
        check_text(body)
        return body


class _Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    ARGUMENTS_PARSER = _Parser()


class Api(flask_smorest.Api):  # type: ignore[misc]
    """Every route says which errors it has, in its dialect: there is no form common to all."""

    DEFAULT_ERROR_RESPONSE_NAME = None


class Routes:
    """The routes of one noun of one service."""

    def __init__(self, dialect: Dialect, noun: str, description: str, prefix: str = "") -> None:
        self._dialect, self._noun = dialect, noun
        self.blueprint = _Blueprint(
            f"{dialect.name}-{noun}",
            __name__,
            url_prefix=f"{dialect.prefix}{prefix}" or None,
            description=description,
        )

    def endpoint(  # noqa: PLR0913 - a declaration, read by its names
        self,
        method: str,
        rule: str,
        action: str,
        *,
        body: type[Schema] | None = None,
        query: type[Schema] | None = None,
        headers: type[Schema] | None = None,
        returns: type[Schema] | None = None,
        status: int = 200,
        also: Mapping[int, type[Schema] | None] | None = None,
        errors: Sequence[int] = (),
        content_type: str | None = None,
        takes: str | None = None,
        since: Gate | None = None,
        until: Gate | None = None,
        later: Mapping[Gate, int] | None = None,
    ) -> Callable[[H], H]:
        """Declare a handler. It is given what the schemas of body, query and headers found in the
        request, and gives what the schema `returns` writes; None of it means an empty answer.

        `also` are answers of other statuses that the handler may give itself, as responses; None
        is an empty one.
        `content_type` is that of an answer that is no JSON; `takes` that of such a body. Before the
        microversion `since` and from `until` on there is no such route; `later` are the statuses
        that other versions answer with.
        """

        def declare(handler: H) -> H:
            blueprint, span = self.blueprint, Span(since, until)
            view = handler if returns is not None or content_type else _empty(handler, status)
            view = blueprint.response(
                status, RAW if content_type else returns, content_type=content_type
            )(view)
            for gate, code in (later or {}).items():
                view = _later(view, gate, code)
                view = blueprint.alt_response(code, schema=returns)(view)
            if headers is not None:
                view = blueprint.arguments(headers, location="headers")(view)
            if query is not None:
                view = blueprint.arguments(query, location="query")(view)
            if body is not None:
                view = blueprint.arguments(body)(view)
            for code, schema in (also or {}).items():
                view = blueprint.alt_response(code, schema=schema)(view)
            missing = () if span == ALWAYS else (404,)
            for code in self._all_errors(
                action, (*errors, *missing), takes=takes or body or query or headers
            ):
                if self._dialect is IMAGE and code != 401:
                    view = blueprint.doc(responses={str(code): _two_forms(code)})(view)
                    continue
                schema = KeystoneFault if code == 401 else self._dialect.fault
                view = blueprint.alt_response(code, schema=schema)(view)
            view = blueprint.doc(**self._more(action, takes), **_told(handler, span))(view)
            blueprint.route(rule, methods=[method])(guarded(self._action(action), view, span))
            return handler

        return declare

    def _action(self, action: str) -> str:
        return f"{self._dialect.name}:{action}"

    def _more(self, action: str, takes: str | None) -> dict[str, Any]:
        """What flask-smorest does not see: that no token is needed, that a body is no JSON."""
        more: dict[str, Any] = {}
        if POLICY[self._action(action)] is ANYONE:
            more["security"] = []
        if takes is not None:
            more["requestBody"] = {"required": True, "content": {takes: {"schema": RAW}}}
        return more

    def _all_errors(self, action: str, errors: Sequence[int], *, takes: object) -> list[int]:
        """What any route of its kind can answer, and what this one says of itself."""
        common = {500}
        if self._dialect is COMPUTE:
            common.add(406)
        if POLICY[self._action(action)] is not ANYONE:
            common |= {401, 403}
        if takes is not None:
            common.add(400)
        return sorted(common | set(errors))


def _two_forms(status: int) -> dict[str, Any]:
    """Return how image's errors are told: as a page to who does not ask for JSON."""
    return {
        "description": HTTPStatus(status).phrase,
        "content": {
            "application/json": {"schema": IMAGE.fault},
            "text/html": {"schema": {"type": "string"}},
        },
    }


def _later(view: Handler, gate: Gate, status: int) -> Handler:
    """Let a view answer with another status from a microversion on."""

    @wraps(view)
    def later(*args: Any, **kwargs: Any) -> Any:
        answer: Response = view(*args, **kwargs)
        if gate.is_open:
            answer.status_code = status
        return answer

    return later


def _told(handler: Handler, span: Span) -> dict[str, Any]:
    """Return what the document says of a route that is not there at every microversion."""
    if span == ALWAYS:
        return {}
    told = span.document()
    _, _, more = (inspect.getdoc(handler) or "").partition("\n\n")
    return {**told, "description": f"{told['description']} {more}".strip()}


def _empty(handler: Handler, status: int) -> Handler:
    """Let a handler that returns nothing answer with nothing."""

    @wraps(handler)
    def view(*args: Any, **kwargs: Any) -> Any:
        answer = handler(*args, **kwargs)
        if answer is not None:
            return answer
        response = Response(status=status)
        del response.headers["Content-Type"]
        return response

    return view
