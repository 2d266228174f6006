"""Keypairs: SSH public keys that servers let in."""

import re
import uuid
from typing import Any

from marshmallow import EXCLUDE, ValidationError, fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import (
    Json,
    Strict,
    Text,
    answer,
    links_field,
    name_like,
    wrapped,
)
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import next_page
from app.api.paging import read_page
from app.api.routes import Routes
from app.api.times import bare_micro_time
from app.api.versioned import Versioned, since
from app.services import keypairs
from app.services.keypairs import KeypairView

routes = Routes(COMPUTE, "keypairs", "SSH public keys.", "/v2.1/os-keypairs")

_NAME = re.compile(r"[ _\-a-zA-Z0-9]+", re.ASCII)


def _keypair_name(value: str) -> None:
    name_like(value)
    if not _NAME.fullmatch(value):
        raise ValidationError("may hold letters, digits, blanks, hyphens and underscores only.")


class KeypairBrief(Versioned):
    """A keypair in lists."""

    name = fields.String(required=True)
    public_key = fields.String(required=True)
    fingerprint = fields.String(required=True)
    type = since(Gate.KEYPAIR_TYPE, fields.String())


class KeypairCreated(KeypairBrief):
    """A keypair just made. The private half is told once and kept nowhere."""

    user_id = fields.String(required=True)
    private_key = fields.String()


class KeypairFull(KeypairBrief):
    """A keypair in full."""

    user_id = fields.String(required=True)
    id = fields.Integer(required=True)
    deleted = fields.Boolean(required=True)
    created_at = fields.String(required=True)
    updated_at = fields.String(required=True, allow_none=True)
    deleted_at = fields.String(required=True, allow_none=True)


class CreateKeypair(Strict):
    """A keypair to be kept: a public key, or without one a new pair."""

    name = Text(required=True, validate=_keypair_name)
    public_key = Text(validate=validate.Length(min=1, max=16_384))
    type = since(
        Gate.KEYPAIR_TYPE,
        Text(validate=validate.Equal("ssh", error="must be ssh: certificates are not kept.")),
    )
    user_id = since(Gate.KEYPAIR_USER, Text(validate=validate.Length(min=1, max=255)))


class KeypairOwner(Versioned):
    """Whose keypair, for administrators."""

    class Meta:
        unknown = EXCLUDE

    user_id = since(Gate.KEYPAIR_USER, fields.String())


class KeypairQuery(KeypairOwner):
    """Which of somebody's keypairs to list."""

    limit = since(Gate.KEYPAIR_PAGES, fields.Integer(validate=validate.Range(min=0)))
    marker = since(Gate.KEYPAIR_PAGES, fields.String())


KeypairItem = answer("KeypairItem", keypair=fields.Nested(KeypairBrief, required=True))
Keypairs = answer(
    "KeypairsAnswer",
    keypairs=fields.List(fields.Nested(KeypairItem), required=True),
    keypairs_links=since(Gate.KEYPAIR_PAGES, links_field()),
)
KeypairAnswer = answer("KeypairAnswer", keypair=fields.Nested(KeypairFull, required=True))
Created = answer("KeypairCreateAnswer", keypair=fields.Nested(KeypairCreated, required=True))


@routes.endpoint("GET", "", "keypairs:list", query=KeypairQuery, returns=Keypairs)
def list_keypairs(query: Json) -> Any:
    """List one's keypairs; an administrator, somebody's"""
    part = read_page(query, ())
    found = keypairs.listed(context(), caller(), query.get("user_id"), part)
    body: Json = {"keypairs": [{"keypair": _brief(view)} for view in found]}
    if found and len(found) == part.limit:
        body["keypairs_links"] = [{"rel": "next", "href": next_page(found[-1].name)}]
    return body


@routes.endpoint(
    "GET", "/<name>", "keypairs:show", query=KeypairOwner, returns=KeypairAnswer, errors=(404,)
)
def show_keypair(query: Json, name: str) -> Any:
    """Show one of one's keypairs; an administrator, somebody's"""
    return {"keypair": _full(keypairs.get(context(), caller(), name, query.get("user_id")))}


@routes.endpoint(
    "POST",
    "",
    "keypairs:create",
    body=wrapped("keypair", CreateKeypair),
    returns=Created,
    errors=(409,),
    later={Gate.KEYPAIR_TYPE: 201},
)
def create_keypair(body: Json) -> Any:
    """Keep a public key, or make a pair"""
    request = body["keypair"]
    view = keypairs.create(
        context(), caller(), request["name"], request.get("public_key"), request.get("user_id")
    )
    made = {**_brief(view), "user_id": view.user_id}
    if view.private_key is not None:
        made["private_key"] = view.private_key
    return {"keypair": made}


@routes.endpoint(
    "DELETE",
    "/<name>",
    "keypairs:delete",
    query=KeypairOwner,
    status=202,
    errors=(404,),
    later={Gate.KEYPAIR_TYPE: 204},
)
def delete_keypair(query: Json, name: str) -> None:
    """Forget one of one's keypairs; an administrator, somebody's"""
    keypairs.delete(context(), caller(), name, query.get("user_id"))


def _brief(view: KeypairView) -> Json:
    return {
        "name": view.name,
        "public_key": view.public_key,
        "fingerprint": view.fingerprint,
        "type": "ssh",
    }


def _full(view: KeypairView) -> Json:
    return {
        **_brief(view),
        "user_id": view.user_id,
        # Clients want a whole number; nothing is ever asked by it.
        "id": uuid.UUID(view.id).int >> 98,
        "deleted": False,
        "created_at": bare_micro_time(view.created_at),
        "updated_at": None,
        "deleted_at": None,
    }
