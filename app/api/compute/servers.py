"""Servers: create, list, show, delete."""

from typing import Any

import flask
from marshmallow import fields

from app.api.auth import caller, context
from app.api.compute.schema import Flag, Json, answer, links_field, links_of
from app.api.compute.servers_body import CreatedServer, ServerBrief, ServerSchema, brief, full
from app.api.compute.servers_schema import CreateServerHeaders, CreateServerRequest, ServerQuery
from app.api.dialects import COMPUTE
from app.api.links import base_url, next_page
from app.api.paging import read_page
from app.api.routes import Routes
from app.services import new_servers, servers
from app.services.idempotency import Once
from app.services.new_servers import NewServer
from app.services.pages import SERVER_ORDERS
from app.services.security_groups import DEFAULT
from app.services.server_networks import Interface
from app.services.server_views import ServerView
from app.services.servers import Wanted
from tasks.errors import Forbidden

routes = Routes(COMPUTE, "servers", "Virtual machines.", "/v2.1/servers")

#: Nova's limit of metadata items a server.
MAX_METADATA = 128

Created = answer(
    "ServerCreateAnswer", server=fields.Nested(CreatedServer), reservation_id=fields.String()
)
ServerAnswer = answer("ServerAnswer", server=fields.Nested(ServerSchema, required=True))
Servers = answer(
    "ServersAnswer",
    servers=fields.List(fields.Nested(ServerBrief), required=True),
    servers_links=links_field(required=False),
)
ServersDetail = answer(
    "ServersDetailAnswer",
    servers=fields.List(fields.Nested(ServerSchema), required=True),
    servers_links=links_field(required=False),
)


@routes.endpoint(
    "POST",
    "",
    "servers:create",
    body=CreateServerRequest,
    headers=CreateServerHeaders,
    returns=Created,
    status=202,
    errors=(409, 413),
)
def create_server(body: Json, given: Json) -> Any:
    """Make a server, or several at once

    Answered as soon as the wish is written; the server's status tells what becomes of it. Sent
    again with the same `Idempotency-Key` and body, it makes nothing and has the same answer.
    """
    request = body["server"]
    once = _once(given)
    made = new_servers.create(context(), caller(), _read_server(request), once)
    headers = {"Location": f"{base_url()}/compute/v2.1/servers/{made.server_id}"}
    headers |= {"Idempotent-Replayed": "true"} if made.is_replay else {}
    if request.get("return_reservation_id"):
        return {"reservation_id": made.reservation_id}, headers
    server = {
        "id": made.server_id,
        "links": links_of("servers", made.server_id),
        "adminPass": made.admin_pass,
        "OS-DCF:diskConfig": made.disk_config,
        "security_groups": request.get("security_groups") or [{"name": DEFAULT}],
    }
    return {"server": server}, headers


@routes.endpoint("GET", "", "servers:list", query=ServerQuery, returns=Servers)
def list_servers(query: Json) -> Any:
    """List servers"""
    found = _list(query)
    return _page(query, found, [brief(view) for view in found])


@routes.endpoint("GET", "/detail", "servers:list", query=ServerQuery, returns=ServersDetail)
def list_servers_detail(query: Json) -> Any:
    """List servers in full"""
    found = _list(query)
    for_admin = caller().is_admin
    return _page(query, found, [full(view, for_admin=for_admin) for view in found])


@routes.endpoint("GET", "/<server_id>", "servers:show", returns=ServerAnswer, errors=(404,))
def show_server(server_id: str) -> Any:
    """Show a server"""
    view = servers.get(context(), caller(), server_id)
    return {"server": full(view, for_admin=caller().is_admin)}


@routes.endpoint("DELETE", "/<server_id>", "servers:delete", status=204, errors=(404, 409))
def delete_server(server_id: str) -> None:
    """Delete a server, whatever it is doing"""
    servers.delete(context(), caller(), server_id)


def _once(headers: Json) -> Once | None:
    key = headers.get("idempotency_key")
    return None if key is None else Once.of(key, flask.request.get_json())


def _read_server(request: Json) -> NewServer:
    metadata = request.get("metadata", {})
    if len(metadata) > MAX_METADATA:
        raise Forbidden(f"Maximum number of metadata items exceeds {MAX_METADATA}")
    min_count: int = request.get("min_count", 1)
    return NewServer(
        name=request["name"],
        flavor_id=request["flavorRef"],
        image_id=request["imageRef"],
        security_groups=tuple(group["name"] for group in request.get("security_groups", [])),
        interfaces=tuple(_interface(each) for each in request.get("networks", [])),
        key_name=request.get("key_name"),
        user_data=request.get("user_data") or "",
        metadata=metadata,
        availability_zone=request.get("availability_zone"),
        admin_pass=request.get("adminPass"),
        access_ipv4=request.get("accessIPv4", ""),
        access_ipv6=request.get("accessIPv6", ""),
        disk_config=request.get("OS-DCF:diskConfig", "MANUAL"),
        min_count=min_count,
        max_count=request.get("max_count", min_count),
    )


def _interface(network: Json) -> Interface:
    return Interface(
        network_id=network.get("uuid"),
        address=network.get("fixed_ip"),
        port_id=network.get("port"),
    )


#: query parameter -> column
_FACTS = {
    "status": "status",
    "uuid": "id",
    "image": "image_id",
    "flavor": "flavor_id",
    "key_name": "key_name",
    "user_id": "user_id",
}


def _list(query: Json) -> list[ServerView]:
    facts = {column: _values(query[name]) for name, column in _FACTS.items() if name in query}
    if "status" in facts:
        facts["status"] = [status.upper() for status in facts["status"]]
    wanted = Wanted(
        all_projects=_flag(query, "all_tenants"),
        project_id=query.get("project_id", query.get("tenant_id")),
        deleted=_flag(query, "deleted"),
        changes_since=query.get("changes-since"),
        name=query.get("name"),
        host=query.get("host"),
        address=query.get("ip"),
        facts=facts,
    )
    return servers.listed(context(), caller(), wanted, read_page(query, SERVER_ORDERS))


def _values(found: str | list[str]) -> list[str]:
    return [found] if isinstance(found, str) else found


def _flag(query: Json, name: str) -> bool:
    """`?all_tenants` alone means yes; a word that is none means no."""
    if name not in query:
        return False
    return query[name] == "" or query[name] in Flag.truthy


def _page(query: Json, found: list[ServerView], bodies: list[Json]) -> Json:
    """Return a list, with a link to the next page if this one is full."""
    body: Json = {"servers": bodies}
    if found and len(found) == read_page(query, SERVER_ORDERS).limit:
        body["servers_links"] = [{"rel": "next", "href": next_page(found[-1].id)}]
    return body
