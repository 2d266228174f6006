"""Host aggregates, for operators."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from app.api.auth import context
from app.api.compute.schema import Json, Strict, Text, answer, name_like, small_number, wrapped
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.api.times import bare_micro_time
from app.api.versioned import Versioned, since
from app.services import aggregates
from app.services.aggregates import AggregateView
from tasks.errors import NotFound

routes = Routes(
    COMPUTE, "aggregates", "Hosts that belong together, for operators.", "/v2.1/os-aggregates"
)

_KEY = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")
#: More than any operator says of a host; keeps a row small.
_MAX_ITEMS = 128


def _zone_like(value: str) -> None:
    name_like(value)
    if ":" in value:
        raise ValidationError("must be without a colon, which parts a zone from a host.")


class FactsField(fields.Field[dict[str, str | None]]):
    """Text by text; null takes an item away."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> dict[str, str | None]:
        if not isinstance(value, Mapping):
            raise ValidationError(f"{value!r} is not of type 'object'.")
        if len(value) > _MAX_ITEMS:
            raise ValidationError(f"has more than {_MAX_ITEMS} items.")
        for key, text in value.items():
            if not _KEY.fullmatch(key):
                raise ValidationError(
                    f"key {key[:40]!r} must be 1 to 255 letters, digits, blanks and - _ : ."
                )
            if text is not None and not (isinstance(text, str) and len(text) <= 255):
                raise ValidationError(
                    f"the value of {key!r} must be text of at most 255 characters, or null."
                )
        zone = value.get(aggregates.ZONE)
        if zone is not None:
            _zone_like(zone)
        return dict(value)


class AggregateBare(Versioned):
    """An aggregate as it is shown to who has just made it."""

    id = fields.Integer(required=True)
    uuid = since(Gate.AGGREGATE_UUID, fields.String(required=True))
    name = fields.String(required=True)
    availability_zone = fields.String(required=True, allow_none=True)
    created_at = fields.String(required=True)
    updated_at = fields.String(required=True, allow_none=True)
    deleted = fields.Boolean(required=True)
    deleted_at = fields.String(required=True, allow_none=True)


class AggregateSchema(AggregateBare):
    """An aggregate with its hosts and metadata."""

    hosts = fields.List(fields.String(), required=True)
    metadata = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class CreateAggregate(Strict):
    """An aggregate to be made."""

    name = Text(required=True, validate=name_like)
    availability_zone = Text(allow_none=True, validate=_zone_like)


class UpdateAggregate(Strict):
    """What is to be different."""

    name = Text(validate=name_like)
    availability_zone = Text(allow_none=True, validate=_zone_like)

    @validates_schema
    def _check_any(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data:
            raise ValidationError("must hold name, availability_zone or both.")


class HostRef(Strict):
    """A host, by its name."""

    host = Text(required=True, validate=validate.Length(min=1, max=255))


class SetAggregateMetadata(Strict):
    """Metadata to be added or changed."""

    metadata = FactsField(required=True)


class AggregateAction(Strict):
    """One thing to be done with an aggregate."""

    add_host = fields.Nested(HostRef)
    remove_host = fields.Nested(HostRef)
    set_metadata = fields.Nested(SetAggregateMetadata)

    @validates_schema
    def _check_one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ValidationError("must be one, and only one, action.", "add_host")


Made = answer("AggregateMadeAnswer", aggregate=fields.Nested(AggregateBare, required=True))
Aggregate = answer("AggregateAnswer", aggregate=fields.Nested(AggregateSchema, required=True))
Aggregates = answer(
    "AggregatesAnswer", aggregates=fields.List(fields.Nested(AggregateSchema), required=True)
)


@routes.endpoint("GET", "", "aggregates:list", returns=Aggregates)
def list_aggregates() -> Any:
    """List host aggregates"""
    return {"aggregates": [_body(view) for view in aggregates.listed(context())]}


@routes.endpoint(
    "POST",
    "",
    "aggregates:create",
    body=wrapped("aggregate", CreateAggregate),
    returns=Made,
    errors=(409,),
)
def create_aggregate(body: Json) -> Any:
    """Make a host aggregate, in which no host is yet"""
    asked = body["aggregate"]
    made = aggregates.create(context(), asked["name"], asked.get("availability_zone"))
    return {"aggregate": _bare(made)}


@routes.endpoint("GET", "/<aggregate_id>", "aggregates:show", returns=Aggregate, errors=(404,))
def show_aggregate(aggregate_id: str) -> Any:
    """Show a host aggregate"""
    return {"aggregate": _body(aggregates.get(context(), _number(aggregate_id)))}


@routes.endpoint(
    "PUT",
    "/<aggregate_id>",
    "aggregates:change",
    body=wrapped("aggregate", UpdateAggregate),
    returns=Aggregate,
    errors=(404, 409),
)
def update_aggregate(body: Json, aggregate_id: str) -> Any:
    """Change a host aggregate's name or zone

    The zone is kept while a server is on one of its hosts.
    """
    return {
        "aggregate": _body(aggregates.change(context(), _number(aggregate_id), body["aggregate"]))
    }


@routes.endpoint("DELETE", "/<aggregate_id>", "aggregates:delete", errors=(400, 404))
def delete_aggregate(aggregate_id: str) -> None:
    """Forget a host aggregate that has no hosts"""
    aggregates.delete(context(), _number(aggregate_id))


@routes.endpoint(
    "POST",
    "/<aggregate_id>/action",
    "aggregates:change",
    body=AggregateAction,
    returns=Aggregate,
    errors=(404, 409),
)
def act_on_aggregate(body: Json, aggregate_id: str) -> Any:
    """Add a host to an aggregate, remove one, or set metadata"""
    [(name, asked)] = body.items()
    [value] = asked.values()
    return {"aggregate": _body(_ACTIONS[name](context(), _number(aggregate_id), value))}


_ACTIONS: dict[str, Callable[..., AggregateView]] = {
    "add_host": aggregates.add_host,
    "remove_host": aggregates.remove_host,
    "set_metadata": aggregates.set_metadata,
}


def _number(aggregate_id: str) -> int:
    number = small_number(aggregate_id)
    if number is None:
        raise NotFound(f"Aggregate {aggregate_id} could not be found.")
    return number


def _bare(view: AggregateView) -> Json:
    return {
        "id": view.number,
        "uuid": view.id,
        "name": view.name,
        "availability_zone": view.availability_zone,
        "created_at": bare_micro_time(view.created_at),
        "updated_at": bare_micro_time(view.updated_at),
        "deleted": False,
        "deleted_at": None,
    }


def _body(view: AggregateView) -> Json:
    return {**_bare(view), "hosts": list(view.hosts), "metadata": dict(view.metadata)}
