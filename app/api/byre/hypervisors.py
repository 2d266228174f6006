"""How far each hypervisor has carried out what networks and security groups ask of it."""

from dataclasses import asdict
from typing import Any

from marshmallow import Schema, fields

from app.api.auth import context
from app.api.dialects import BYRE
from app.api.routes import Routes
from app.api.times import micro_time
from app.services import hypervisors
from app.services.hypervisors import FabricView

routes = Routes(BYRE, "hypervisors", "What hypervisors have still to carry out.", "/byre/v1")


class FabricSchema(Schema):
    """What a hypervisor has to carry out, and what it has."""

    wanted = fields.Integer(required=True)
    carried_out = fields.Integer(required=True)
    pending = fields.Boolean(required=True)
    changed_at = fields.String(required=True)
    sent = fields.Integer(required=True)
    sent_at = fields.String(required=True, allow_none=True)
    #: How often the newest was sent.
    sends = fields.Integer(required=True)


class HostSchema(Schema):
    """A hypervisor."""

    host = fields.String(required=True)
    alive = fields.Boolean(required=True)
    fabric = fields.Nested(FabricSchema, required=True)


class HostsAnswer(Schema):
    """All hypervisors, in the order in which they registered."""

    hypervisors = fields.List(fields.Nested(HostSchema), required=True)


@routes.endpoint("GET", "/hypervisors", "hypervisors:list", returns=HostsAnswer)
def list_hypervisors() -> Any:
    """List hypervisors with what of networks and security groups they have still to carry out"""
    return {"hypervisors": [_body(view) for view in hypervisors.fabrics(context())]}


def _body(view: FabricView) -> dict[str, Any]:
    fabric = asdict(view)
    host, alive = fabric.pop("host"), fabric.pop("alive")
    fabric |= {"changed_at": micro_time(view.changed_at), "sent_at": micro_time(view.sent_at)}
    return {"host": host, "alive": alive, "fabric": fabric}
