"""Who asks: the token's owner, found once a request, and whether the policy lets them."""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

import structlog
from flask import current_app, g, request

from app.api.gates import ALWAYS, Span
from app.api.microversions import not_there
from app.policy import ANYONE, POLICY, USER
from app.services import servers, tokens
from app.services.context import Caller, Context
from app.services.scopes import WRONG
from app.services.tokens import TokenView
from tasks.errors import Forbidden, Unauthorized

EXTENSION = "byre"

Handler = Callable[..., Any]


def context() -> Context:
    """Return what this process opened at its start."""
    return cast("Context", current_app.extensions[EXTENSION])


def caller() -> Caller:
    """Return who asks; there is somebody unless the route is for anyone."""
    return cast("Caller", g.caller)


def own_token() -> TokenView:
    """Return what the token that came with the request stands for."""
    return cast("TokenView", g.token)


def guarded(action: str, handler: Handler, span: Span = ALWAYS) -> Handler:
    """Return the handler behind its row of the policy and its microversions. Raises KeyError if it
    has no row."""
    who = POLICY[action]

    @wraps(handler)
    def guard(*args: Any, **kwargs: Any) -> Any:
        if who is not ANYONE:
            _authenticate()
        if not span.is_open:
            raise not_there()
        if who is not ANYONE:
            if who is not USER and not caller().project_id:
                raise Forbidden(f"{action} needs a token with a project.")
            require(action, kwargs.get("server_id"))
        return handler(*args, **kwargs)

    guard.policy_action, guard.span = action, span  # type: ignore[attr-defined]
    return guard


def require(action: str, server_id: str | None = None) -> None:
    """Return if the caller may. A server is looked up before anything of it is refused: that
    others have it must not be learnt. Raises NotFound, Forbidden."""
    if server_id is not None and not caller().may(action):
        servers.get(context(), caller(), server_id)
    caller().check(action)


def require_project(action: str, project_id: str) -> None:
    """Return if the project is the caller's, or the caller may do it to others too: the row
    `<action>:others`. Raises Forbidden."""
    if project_id != caller().project_id:
        caller().check(f"{action}:others")


def _authenticate() -> None:
    secret = request.headers.get("X-Auth-Token")
    if not secret:
        raise Unauthorized(WRONG)
    token = tokens.look_up(context(), secret)
    g.token = token
    g.caller = Caller(
        user_id=token.user_id,
        user_name=token.user_name,
        project_id=token.project_id,
        project_name=token.project_name,
        roles=token.roles,
        request_id=g.request_id,
        is_restricted=token.credential is not None and not token.credential.unrestricted,
    )
    structlog.contextvars.bind_contextvars(user_id=token.user_id, project_id=token.project_id)
