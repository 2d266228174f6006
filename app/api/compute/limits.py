"""Limits: what the project may have, and what it has."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.compute.schema import Json, answer
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import limits
from app.services.limits import LimitsView

routes = Routes(COMPUTE, "limits", "What a project may have.", "/v2.1/limits")


class Limits(Schema):
    """There are no rate limits; the absolute ones are whole numbers, -1 for none."""

    rate = fields.List(fields.Dict(), required=True)
    absolute = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)


@routes.endpoint(
    "GET",
    "",
    "limits:show",
    returns=answer("LimitsAnswer", limits=fields.Nested(Limits, required=True)),
)
def show_limits() -> Any:
    """Show the project's limits, and what is used of them"""
    return {"limits": {"rate": [], "absolute": _absolute(limits.get(context(), caller()))}}


#: Which limits are not told any more from a version on.
_GONE = {
    Gate.NO_PROXIES: (
        "maxSecurityGroups",
        "maxSecurityGroupRules",
        "maxTotalFloatingIps",
        "totalSecurityGroupsUsed",
        "totalFloatingIpsUsed",
    ),
    Gate.NO_IMAGE_METADATA: ("maxImageMeta",),
    Gate.NO_PERSONALITY: ("maxPersonality", "maxPersonalitySize"),
}


def _absolute(view: LimitsView) -> Json:
    every = {
        "maxTotalInstances": view.servers,
        "maxTotalCores": view.vcpus,
        "maxTotalRAMSize": view.memory_mib,
        "maxTotalKeypairs": view.keypairs,
        "maxServerMeta": view.metadata_items,
        "maxImageMeta": view.metadata_items,
        "maxPersonality": view.injected_files,
        "maxPersonalitySize": view.injected_file_content_bytes,
        "maxServerGroups": view.server_groups,
        "maxServerGroupMembers": view.server_group_members,
        "maxSecurityGroups": view.security_groups,
        "maxSecurityGroupRules": view.security_group_rules,
        "maxTotalFloatingIps": view.floating_ips,
        "totalInstancesUsed": view.servers_used,
        "totalCoresUsed": view.vcpus_used,
        "totalRAMUsed": view.memory_mib_used,
        "totalServerGroupsUsed": view.server_groups_used,
        "totalSecurityGroupsUsed": view.security_groups_used,
        "totalFloatingIpsUsed": view.floating_ips_used,
    }
    gone = {name for gate, names in _GONE.items() if gate.is_open for name in names}
    return {name: limit for name, limit in every.items() if name not in gone}
