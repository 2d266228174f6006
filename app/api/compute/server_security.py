"""Servers' security groups, which compute changes for all of a server's interfaces at once."""

from typing import Any

from app.api.auth import caller, context
from app.api.compute.security_groups import ComputeGroups, write_groups
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import server_security

routes = Routes(COMPUTE, "server-security", "Security groups of servers.", "/v2.1/servers")


@routes.endpoint(
    "GET",
    "/<server_id>/os-security-groups",
    "servers:show",
    returns=ComputeGroups,
    errors=(404,),
)
def list_server_groups(server_id: str) -> Any:
    """List the security groups of a server's interfaces"""
    found = server_security.of_server(context(), caller(), server_id)
    return {"security_groups": write_groups(found)}
