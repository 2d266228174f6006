"""The API's document, and a page to read and try it. Nothing comes from the internet: the page's
scripts are Swagger UI's as the package flask-swagger-ui ships them."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Response, current_app, jsonify, request, send_from_directory
from markupsafe import escape
from marshmallow import INCLUDE, Schema

from app.api.dialects import BYRE
from app.api.routes import Routes

routes = Routes(BYRE, "docs", "This document.")

#: Key of the document among the application's extensions.
DOCUMENT = "byre-openapi"

_ASSETS = Path(str(files("flask_swagger_ui"))) / "dist"

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>Byre API</title>
  <base href="{root}/">
  <link rel="icon" href="docs/assets/favicon-32x32.png">
  <link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
  <div id="swagger-ui"></div>
  <script src="docs/assets/swagger-ui-bundle.js"></script>
  <script src="docs/start.js"></script>
</body>
</html>
"""

_START = """window.onload = () => SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  docExpansion: "none", defaultModelsExpandDepth: 0, persistAuthorization: true,
});
"""


class Document(Schema):
    """OpenAPI 3.0."""

    class Meta:
        unknown = INCLUDE


@routes.endpoint("GET", "/openapi.json", "docs:show", returns=Document)
def show_document() -> Any:
    """Show the OpenAPI document"""
    return jsonify(current_app.extensions[DOCUMENT].to_dict())


@routes.endpoint("GET", "/docs", "docs:show", content_type="text/html")
def show_page() -> Any:
    """Show the document as a page"""
    # The same for /docs and /docs/, and below whatever prefix a proxy has put before us.
    page = _PAGE.replace("{root}", str(escape(request.script_root)))
    return Response(page, mimetype="text/html")


@routes.endpoint("GET", "/docs/start.js", "docs:show", content_type="text/javascript")
def show_start() -> Any:
    """Show what starts the page"""
    return Response(_START, mimetype="text/javascript")


@routes.endpoint(
    "GET",
    "/docs/assets/<name>",
    "docs:show",
    content_type="*/*",
    errors=(404,),
)
def show_asset(name: str) -> Any:
    """Show a part of the page"""
    return send_from_directory(_ASSETS, name, max_age=86_400)
