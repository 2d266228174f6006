"""Live migrations of servers, from 2.22 on. Nobody can begin one, so there never is one: lists are
empty, and whoever names one is told so."""

from typing import Any

from marshmallow import fields, validate

from app.api.auth import caller, context
from app.api.compute.schema import Json, Strict, answer, must_be_null
from app.api.dialects import COMPUTE
from app.api.gates import Gate
from app.api.routes import Routes
from app.services import servers
from tasks.errors import NotFound

routes = Routes(
    COMPUTE,
    "live-migrations",
    "Live migrations, of which there are none.",
    "/v2.1/servers/<server_id>/migrations",
)


class ForceComplete(Strict):
    """Hurry."""

    force_complete = fields.Raw(required=True, allow_none=True, validate=must_be_null)


LiveMigrations = answer(
    "LiveMigrationsAnswer",
    migrations=fields.List(fields.Dict(), required=True, validate=validate.Length(equal=0)),
)


@routes.endpoint(
    "GET",
    "",
    "live_migrations:show",
    returns=LiveMigrations,
    errors=(404,),
    since=Gate.LIVE_MIGRATIONS,
)
def list_live_migrations(server_id: str) -> Any:
    """List the live migrations of a server: none"""
    servers.get(context(), caller(), server_id)
    return {"migrations": []}


@routes.endpoint(
    "GET",
    "/<migration_id>",
    "live_migrations:show",
    errors=(404,),
    since=Gate.LIVE_MIGRATIONS,
)
def show_live_migration(server_id: str, migration_id: str) -> None:
    """Say that there is no such live migration"""
    _refuse(server_id, migration_id)


@routes.endpoint(
    "DELETE",
    "/<migration_id>",
    "live_migrations:change",
    status=202,
    errors=(404,),
    since=Gate.ABORT_MIGRATION,
)
def abort_live_migration(server_id: str, migration_id: str) -> None:
    """Say that there is no such live migration to be ended"""
    _refuse(server_id, migration_id)


@routes.endpoint(
    "POST",
    "/<migration_id>/action",
    "live_migrations:change",
    body=ForceComplete,
    status=202,
    errors=(404,),
    since=Gate.FORCE_COMPLETE,
)
def force_live_migration(_body: Json, server_id: str, migration_id: str) -> None:
    """Say that there is no such live migration to be hurried"""
    _refuse(server_id, migration_id)


def _refuse(server_id: str, migration_id: str) -> None:
    servers.get(context(), caller(), server_id)
    raise NotFound(
        f"Migration {migration_id} not found for server {server_id}: there are no live migrations."
    )
