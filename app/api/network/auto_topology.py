"""Networks that are made for projects that have none."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import context, require_project
from app.api.dialects import NETWORK
from app.api.network.lists import Json
from app.api.routes import Routes
from app.services import auto_topology
from tasks.errors import RequestError

routes = Routes(
    NETWORK,
    "auto_topologies",
    "Networks that are made for who has none.",
    "/v2.0/auto-allocated-topology",
)

#: What Neutron's clients put into `fields` when nothing is to be made.
DRY_RUN = "dry-run"


class AutoTopologySchema(Schema):
    """A network that was made for a project: `id` is the network's; or that one could be made."""

    id = fields.String(required=True)
    tenant_id = fields.String(required=True)
    project_id = fields.String(required=True)


class AutoTopologyAnswer(Schema):
    """A network that was made, wrapped."""

    auto_allocated_topology = fields.Nested(AutoTopologySchema, required=True)


class AutoTopologyQuery(Schema):
    """Whether it is to be made."""

    fields_ = fields.List(
        fields.String(),
        data_key="fields",
        metadata={"description": "`dry-run`: say only whether one could be made."},
    )


@routes.endpoint(
    "GET",
    "/<project_id>",
    "auto_topologies:make",
    query=AutoTopologyQuery,
    returns=AutoTopologyAnswer,
    errors=(404, 409),
)
def make_topology(query: Json, project_id: str) -> Any:
    """Show the network that was made for a project, or make it now"""
    require_project("network:auto_topologies:make", project_id)
    words = query.get("fields_", [])
    if words and words != [DRY_RUN]:
        raise RequestError("Unrecognized field")
    if words:
        auto_topology.check(context(), project_id)
        return _body("dry-run=pass", project_id)
    return _body(auto_topology.get(context(), project_id), project_id)


@routes.endpoint("DELETE", "/<project_id>", "auto_topologies:delete", status=204, errors=(404, 409))
def delete_topology(project_id: str) -> None:
    """Remove the network that was made for a project, its subnet and its router"""
    require_project("network:auto_topologies:delete", project_id)
    auto_topology.delete(context(), project_id)


def _body(told: str, project_id: str) -> Json:
    body = {"id": told, "tenant_id": project_id, "project_id": project_id}
    return {"auto_allocated_topology": body}
