"""What is honoured beyond the core: clients look here before they send some fields."""

from typing import Any

from marshmallow import Schema, fields

from app.api.dialects import NETWORK
from app.api.routes import Routes
from tasks.errors import NotFound

routes = Routes(NETWORK, "extensions", "What is honoured beyond the core.", "/v2.0/extensions")

#: alias -> (name, what it is for)
EXTENSIONS = {
    "allowed-address-pairs": ("Allowed Address Pairs", "What else a port may send from."),
    "auto-allocated-topology": (
        "Auto Allocated Topology Services",
        "A network for who has none; is_default of networks.",
    ),
    "binding": ("Port Binding", "On which host a port is."),
    "external-net": ("Neutron external network", "router:external of networks."),
    "fip-port-details": ("Floating IP Port Details", "port_details of floating IPs."),
    "net-mtu": ("Network MTU", "The MTU of a network."),
    "net-mtu-writable": ("Network MTU (writable)", "It can be chosen."),
    "pagination": ("Pagination support", "limit and marker."),
    "port-security": ("Port Security", "Whether an interface is kept to its own addresses."),
    "project-id": ("project_id field enabled", "project_id beside tenant_id."),
    "provider": ("Provider Network", "Networks that operators made."),
    "quota_details": ("Quota details management support", "What is used of the limits."),
    "quotas": ("Quota management support", "What a project may have."),
    "router": ("Neutron L3 Router", "Routers and floating IPs."),
    "security-group": ("security-group", "What may reach ports, and what they may."),
    "security-groups-normalized-cidr": ("Normalized CIDR", "normalized_cidr of rules."),
    "sorting": ("Sorting support", "sort_key and sort_dir."),
    "standard-attr-description": ("standard-attr-description", "Descriptions."),
    "standard-attr-revisions": ("Resource revision numbers", "A count of changes."),
    "stateful-security-group": ("Stateful security group", "stateful of security groups."),
    "standard-attr-tag": ("Tag support", "Tags."),
    "standard-attr-timestamp": ("Resource timestamps", "created_at and updated_at."),
}


class ExtensionSchema(Schema):
    """An extension."""

    alias = fields.String(required=True)
    name = fields.String(required=True)
    description = fields.String(required=True)
    updated = fields.String(required=True)
    links = fields.List(fields.Dict(), required=True)


class ExtensionsAnswer(Schema):
    """All extensions."""

    extensions = fields.List(fields.Nested(ExtensionSchema), required=True)


class ExtensionAnswer(Schema):
    """An extension, wrapped."""

    extension = fields.Nested(ExtensionSchema, required=True)


@routes.endpoint("GET", "", "extensions:list", returns=ExtensionsAnswer)
def list_extensions() -> Any:
    """List what is honoured beyond networks, subnets and ports"""
    return {"extensions": [_extension(alias) for alias in sorted(EXTENSIONS)]}


@routes.endpoint("GET", "/<alias>", "extensions:list", returns=ExtensionAnswer, errors=(404,))
def show_extension(alias: str) -> Any:
    """Show an extension"""
    if alias not in EXTENSIONS:
        raise NotFound(f"Extension with alias {alias} does not exist")
    return {"extension": _extension(alias)}


def _extension(alias: str) -> dict[str, Any]:
    name, description = EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "updated": "2026-11-01T00:00:00-00:00",
        "links": [],
    }
