"""Tokens: log in, look at a token, log out."""

from typing import Any

from flask import request

from app.api.auth import context, own_token, require
from app.api.dialects import IDENTITY
from app.api.identity.catalog import catalog
from app.api.identity.domain import DOMAIN, is_domain
from app.api.identity.tokens_schema import (
    AuthRequest,
    CatalogAnswer,
    NoCatalogQuery,
    TokenAnswer,
)
from app.api.links import base_url
from app.api.routes import Routes
from app.api.times import micro_time
from app.services import tokens
from app.services.roles import role_id
from app.services.scopes import WRONG, Scope
from app.services.tokens import CredentialLogin, PasswordLogin, TokenView
from tasks.errors import NotFound, RequestError, Unauthorized

routes = Routes(IDENTITY, "tokens", "Log in and out; where the services are.", "/v3/auth")

Headers = dict[str, str]


@routes.endpoint(
    "POST",
    "/tokens",
    "tokens:issue",
    body=AuthRequest,
    query=NoCatalogQuery,
    returns=TokenAnswer,
    status=201,
    errors=(401, 429),
)
def issue_token(body: dict[str, Any], query: dict[str, Any]) -> Any:
    """Log in with a password, a token or an application credential; the new token is in the
    header X-Subject-Token"""
    auth = body["auth"]
    secret, view = _login(auth["identity"], read_scope(auth.get("scope")))
    return token_answer(view, query), {"X-Subject-Token": secret, "Vary": "X-Auth-Token"}


@routes.endpoint(
    "GET", "/tokens", "tokens:show", query=NoCatalogQuery, returns=TokenAnswer, errors=(404,)
)
def show_token(query: dict[str, Any]) -> Any:
    """Show what the token in the header X-Subject-Token stands for"""
    secret, view = _subject("identity:tokens:show:others")
    return token_answer(view, query), {"X-Subject-Token": secret, "Vary": "X-Auth-Token"}


@routes.endpoint("DELETE", "/tokens", "tokens:revoke", status=204, errors=(400, 404))
def revoke_token() -> None:
    """Make the token in the header X-Subject-Token worthless"""
    secret, _ = _subject("identity:tokens:revoke:others")
    tokens.revoke(context(), secret)


@routes.endpoint("GET", "/catalog", "catalog:show", returns=CatalogAnswer)
def show_catalog() -> Any:
    """Show where the services are"""
    return {"catalog": catalog(), "links": {"self": f"{base_url()}/identity/v3/auth/catalog"}}


def _login(identity: dict[str, Any], scope: Scope) -> tuple[str, TokenView]:
    for method in identity["methods"]:
        if method == "password" and "password" in identity:
            return tokens.issue_for_password(context(), _user(identity["password"]["user"]), scope)
        if method == "token" and "token" in identity:
            return tokens.issue_for_token(context(), identity["token"]["id"], scope)
        if method == "application_credential" and method in identity:
            return tokens.issue_for_credential(context(), _credential(identity[method], scope))
    raise Unauthorized("Attempted to authenticate with an unsupported method.")


def _user(user: dict[str, Any]) -> PasswordLogin:
    if "id" not in user and "name" not in user:
        raise RequestError("auth.identity.password.user: needs an id or a name.")
    if not is_domain(user.get("domain", DOMAIN)):
        raise Unauthorized(WRONG)
    return PasswordLogin(
        user.get("id"), user.get("name"), user["password"], request.remote_addr or ""
    )


def _credential(given: dict[str, Any], scope: Scope) -> CredentialLogin:
    if scope != Scope():
        raise Unauthorized("Application credentials cannot request a scope.")
    user = given.get("user", {})
    if "id" not in given and ("name" not in given or not user.keys() & {"id", "name"}):
        raise RequestError(
            "auth.identity.application_credential: needs an id, or a name and a user."
        )
    if not is_domain(user.get("domain", DOMAIN)):
        raise Unauthorized(WRONG)
    return CredentialLogin(
        credential_id=given.get("id"),
        name=given.get("name"),
        user_id=user.get("id"),
        user_name=user.get("name"),
        secret=given["secret"],
        address=request.remote_addr or "",
    )


def read_scope(scope: dict[str, Any] | None) -> Scope:
    """Return what a scope asks for. Raises Unauthorized for one that nobody can have here."""
    if not scope:
        return Scope()
    if "unscoped" in scope:
        return Scope("unscoped")
    project = scope.get("project")
    if project is None or not is_domain(project.get("domain", DOMAIN)):
        raise Unauthorized(WRONG)
    return Scope("project", project.get("id"), project.get("name"))


def _subject(others: str) -> tuple[str, TokenView]:
    """The token that is asked about: one's own, or any for whom the policy allows `others`."""
    secret = request.headers.get("X-Subject-Token")
    if not secret:
        raise RequestError("The header X-Subject-Token is missing.")
    try:
        view = tokens.look_up(context(), secret)
    except Unauthorized as error:
        raise NotFound("Could not find token.") from error
    if view.user_id != own_token().user_id:
        require(others)
    return secret, view


def token_answer(view: TokenView, query: dict[str, Any]) -> dict[str, Any]:
    """Return a token's body."""
    token: dict[str, Any] = {
        "methods": list(view.methods),
        "user": {
            "id": view.user_id,
            "name": view.user_name,
            "domain": DOMAIN,
            "password_expires_at": None,
        },
        "audit_ids": list(view.audit_ids),
        "issued_at": micro_time(view.issued_at),
        "expires_at": micro_time(view.expires_at),
    }
    if view.credential is not None:
        token["application_credential"] = {
            "id": view.credential.id,
            "name": view.credential.name,
            "restricted": not view.credential.unrestricted,
        }
    if view.project_id:
        token["project"] = {"id": view.project_id, "name": view.project_name, "domain": DOMAIN}
        token["is_domain"] = False
        token["roles"] = [{"id": role_id(name), "name": name} for name in view.roles]
        if "nocatalog" not in query:
            token["catalog"] = catalog()
    return {"token": token}
