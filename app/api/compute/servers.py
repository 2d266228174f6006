"""Servers: create, list, show, change, delete."""

from typing import Any

import flask
from marshmallow import fields

from app.api.auth import caller, context
from app.api.compute.personality import read_files
from app.api.compute.schema import Flag, Json, answer, links_field, links_of
from app.api.compute.servers_body import (
    CreatedServer,
    ServerBrief,
    ServerCore,
    ServerSchema,
    brief,
    core,
    full,
)
from app.api.compute.servers_schema import (
    CreateServerHeaders,
    CreateServerRequest,
    ServerQuery,
    UpdateServerRequest,
)
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import base_url, next_page
from app.api.paging import read_page
from app.api.routes import Routes
from app.services import new_servers, servers
from app.services.affinity import Hints
from app.services.idempotency import Once
from app.services.new_servers import NewServer
from app.services.pages import SERVER_ORDERS, TagFilter
from app.services.security_groups import DEFAULT
from app.services.server_networks import AUTO, NONE, Interface
from app.services.server_views import ServerView
from app.services.servers import Wanted
from tasks.errors import RequestError

routes = Routes(COMPUTE, "servers", "Virtual machines.", "/v2.1/servers")

Created = answer(
    "ServerCreateAnswer", server=fields.Nested(CreatedServer), reservation_id=fields.String()
)
ServerAnswer = answer("ServerAnswer", server=fields.Nested(ServerSchema, required=True))
ChangedServer = answer("ServerUpdateAnswer", server=fields.Nested(ServerCore, required=True))
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
    made = new_servers.create(context(), caller(), read_server(body), once)
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


@routes.endpoint(
    "PUT",
    "/<server_id>",
    "servers:update",
    body=UpdateServerRequest,
    returns=ChangedServer,
    errors=(404,),
)
def update_server(body: Json, server_id: str) -> Any:
    """Change a server's name, or the addresses by which its owner reaches it

    The guest keeps the host name that it was started with.
    """
    changes = {_CHANGES[name]: value for name, value in body["server"].items()}
    return {"server": core(servers.update(context(), caller(), server_id, changes))}


@routes.endpoint("DELETE", "/<server_id>", "servers:delete", status=204, errors=(404, 409))
def delete_server(server_id: str) -> None:
    """Delete a server, whatever it is doing"""
    servers.delete(context(), caller(), server_id)


def _once(headers: Json) -> Once | None:
    key = headers.get("idempotency_key")
    return None if key is None else Once.of(key, flask.request.get_json())


def read_server(body: Json) -> NewServer:
    """Return what a body asks for: its `server`, and the hints beside it."""
    request = body["server"]
    min_count: int = request.get("min_count", 1)
    networks, devices = request.get("networks", []), request.get("block_device_mapping_v2", [])
    return NewServer(
        name=request["name"],
        flavor_id=request["flavorRef"],
        image_id=request["imageRef"],
        security_groups=tuple(group["name"] for group in request.get("security_groups", [])),
        interfaces=networks if networks in (AUTO, NONE) else tuple(map(_interface, networks)),
        key_name=request.get("key_name"),
        user_data=request.get("user_data") or "",
        files=read_files(request),
        metadata=request.get("metadata", {}),
        availability_zone=request.get("availability_zone"),
        admin_pass=request.get("adminPass"),
        access_ipv4=request.get("accessIPv4", ""),
        access_ipv6=request.get("accessIPv6", ""),
        disk_config=request.get("OS-DCF:diskConfig", "MANUAL"),
        # Unless it is refused, there is one: it is how a guest learns its name and keys.
        config_drive=request.get("config_drive") is not False,
        min_count=min_count,
        max_count=request.get("max_count", min_count),
        hints=_hints(body.get("os:scheduler_hints") or body.get("OS-SCH-HNT:scheduler_hints", {})),
        description=request.get("description") if Gate.DESCRIPTION.is_open else request["name"],
        tags=tuple(request.get("tags", [])),
        root_tag=next((each["tag"] for each in devices if "tag" in each), ""),
    )


def _hints(given: Json) -> Hints:
    return Hints(
        group_id=str(given["group"]) if "group" in given else None,
        same_host=given.get("same_host", ()),
        different_host=given.get("different_host", ()),
    )


def _interface(network: Json) -> Interface:
    return Interface(
        network_id=network.get("uuid"),
        address=network.get("fixed_ip"),
        port_id=network.get("port"),
        tag=network.get("tag", ""),
    )


#: field of a change -> column
_CHANGES = {
    "name": "name",
    "accessIPv4": "access_ipv4",
    "accessIPv6": "access_ipv6",
    "OS-DCF:diskConfig": "disk_config",
    "description": "description",
}

#: What Nova calls a server's statuses; and UNKNOWN, which is shown of one whose host is silent.
STATUSES = frozenset(
    {
        "ACTIVE",
        "BUILD",
        "DELETED",
        "ERROR",
        "HARD_REBOOT",
        "MIGRATING",
        "PASSWORD",
        "PAUSED",
        "REBOOT",
        "REBUILD",
        "RESCUE",
        "RESIZE",
        "REVERT_RESIZE",
        "SHELVED",
        "SHELVED_OFFLOADED",
        "SHUTOFF",
        "SOFT_DELETED",
        "SUSPENDED",
        "UNKNOWN",
        "VERIFY_RESIZE",
    }
)

#: query parameter -> column
_FACTS = {
    "status": "status",
    "uuid": "id",
    "image": "image_id",
    "flavor": "flavor_id",
    "key_name": "key_name",
    "user_id": "user_id",
    "vm_state": "vm_state",
    "task_state": "task_state",
    "power_state": "power_state",
    "hostname": "hostname",
    "access_ip_v4": "access_ipv4",
    "access_ip_v6": "access_ipv6",
    "config_drive": "config_drive",
    "locked_by": "locked_by",
    "reservation_id": "reservation_id",
    "launch_index": "launch_index",
}


def _list(query: Json) -> list[ServerView]:
    facts = {column: _values(query[name]) for name, column in _FACTS.items() if name in query}
    if "status" in facts:
        facts["status"] = [status.upper() for status in facts["status"]]
        if Gate.STATUS_FILTER.is_open and STATUSES.isdisjoint(facts["status"]):
            raise RequestError("Invalid status value")
    wanted = Wanted(
        all_projects=_is_of_all_projects(query),
        project_id=query.get("project_id", query.get("tenant_id")),
        deleted=_flag(query, "deleted"),
        changes_since=query.get("changes-since"),
        name=query.get("name"),
        host=query.get("host", query.get("node")),
        addresses=[query[name] for name in ("ip", "ip6") if query.get(name)],
        availability_zone=query.get("availability_zone"),
        facts=facts,
        tags=_tags(query),
    )
    return servers.listed(context(), caller(), wanted, read_page(query, SERVER_ORDERS))


def _tags(query: Json) -> TagFilter:
    lists = [query.get(name, "") for name in ("tags", "tags_any", "not_tags", "not_tags_any")]
    return TagFilter(*([tag for tag in given.split(",") if tag] for given in lists))


def _is_of_all_projects(query: Json) -> bool:
    """As in Nova, an administrator who names a project means that one, and not its own."""
    if "all_tenants" in query:
        return _flag(query, "all_tenants")
    return caller().is_admin and "tenant_id" in query


def _values(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


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
