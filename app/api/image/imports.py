"""Glance's other ways for bytes to come, of which there is none: clients ask, and then upload."""

from typing import Any

from marshmallow import Schema, fields

from app.api.auth import caller, context
from app.api.dialects import IMAGE
from app.api.routes import Routes
from app.services import images

routes = Routes(IMAGE, "imports", "How images may be imported: not at all.", "/v2")


class ImportMethods(Schema):
    """The ways to import."""

    type = fields.String(required=True)
    description = fields.String(required=True)
    value = fields.List(fields.String(), required=True)


class ImportInfo(Schema):
    """What can be known of imports before one is asked for."""

    import_methods = fields.Nested(
        ImportMethods, required=True, attribute="import-methods", data_key="import-methods"
    )


class ImageTasks(Schema):
    """What is being done with an image."""

    tasks = fields.List(fields.Dict(), required=True)


@routes.endpoint("GET", "/info/import", "imports:show", returns=ImportInfo)
def show_import_info() -> Any:
    """Say by which methods images may be imported: none, they are uploaded"""
    methods = {"type": "array", "description": "Import methods available.", "value": []}
    return {"import-methods": methods}


@routes.endpoint(
    "GET", "/images/<image_id>/tasks", "images:show", returns=ImageTasks, errors=(404,)
)
def list_image_tasks(image_id: str) -> Any:
    """List an image's tasks: none, as nothing is done apart from requests"""
    images.get(context(), caller(), image_id)
    return {"tasks": []}
