"""Migrations, for operators: resizes, which stay on their host; there are no others yet."""

from typing import Any

from marshmallow import EXCLUDE, fields, validate

from app.api.auth import context
from app.api.compute.schema import Json, answer, links_field
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.links import next_page
from app.api.paging import read_page
from app.api.routes import Routes
from app.api.times import bare_micro_time
from app.api.versioned import Versioned, since
from app.services import server_migrations
from app.services.server_migrations import MigrationView, WantedMigrations

routes = Routes(COMPUTE, "migrations", "Servers' resizes, for operators.", "/v2.1/os-migrations")


class MigrationSchema(Versioned):
    """One resize. Types of instances are flavors' ids, as clients know them."""

    id = fields.Integer(required=True)
    uuid = since(Gate.MIGRATION_PAGES, fields.String())
    migration_type = since(Gate.LIVE_MIGRATIONS, fields.String())
    status = fields.String(required=True)
    instance_uuid = fields.String(required=True)
    source_node = fields.String(required=True)
    source_compute = fields.String(required=True)
    dest_node = fields.String(required=True)
    dest_compute = fields.String(required=True)
    dest_host = fields.String(required=True, allow_none=True)
    old_instance_type_id = fields.String(required=True)
    new_instance_type_id = fields.String(required=True)
    created_at = fields.String(required=True)
    updated_at = fields.String(required=True, allow_none=True)


class MigrationQuery(Versioned):
    """Which migrations a list is to have."""

    class Meta:
        unknown = EXCLUDE
        include = {"changes-since": since(Gate.MIGRATION_PAGES, fields.AwareDateTime())}

    host = fields.String(metadata={"description": "The source, or the destination."})
    status = fields.String()
    instance_uuid = fields.String()
    source_compute = fields.String()
    migration_type = fields.String()
    limit = since(Gate.MIGRATION_PAGES, fields.Integer(validate=validate.Range(min=0)))
    marker = since(Gate.MIGRATION_PAGES, fields.String())


Migrations = answer(
    "MigrationsAnswer",
    migrations=fields.List(fields.Nested(MigrationSchema), required=True),
    migrations_links=since(Gate.MIGRATION_PAGES, links_field(required=False)),
)

#: What a query calls a column.
_COLUMNS = {
    "status": "status",
    "instance_uuid": "server_id",
    "source_compute": "source",
    "migration_type": "kind",
}


@routes.endpoint("GET", "", "migrations:list", query=MigrationQuery, returns=Migrations)
def list_migrations(query: Json) -> Any:
    """List resizes of servers, newest first"""
    wanted = WantedMigrations(
        {column: query[name] for name, column in _COLUMNS.items() if name in query},
        query.get("host"),
        query.get("changes-since"),
    )
    part = read_page(query, ())
    found = server_migrations.listed(context(), wanted, part)
    body: Json = {"migrations": [_migration(view) for view in found]}
    if found and len(found) == part.limit:
        body["migrations_links"] = [{"rel": "next", "href": next_page(found[-1].uuid)}]
    return body


def _migration(view: MigrationView) -> Json:
    return {
        "id": view.id,
        "uuid": view.uuid,
        "migration_type": view.kind,
        "status": view.status,
        "instance_uuid": view.server_id,
        "source_node": view.source,
        "source_compute": view.source,
        "dest_node": view.dest,
        "dest_compute": view.dest,
        "dest_host": view.dest_ip,
        "old_instance_type_id": view.old_flavor_id,
        "new_instance_type_id": view.new_flavor_id,
        "created_at": bare_micro_time(view.created_at),
        "updated_at": bare_micro_time(view.updated_at),
    }
