"""The API's document, and whether an answer is as it says: its status, its type, every field."""

import re
from typing import Any

import schemathesis
from schemathesis import APIOperation, Case
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.routing import Rule

from tests.structure.test_routes import make_app, routes

APP = make_app()
#: Each route by its name in routes.txt.
ROUTES = {f"{method} {rule.rule}": (method, rule) for method, rule in routes(APP)}
DOCUMENT = schemathesis.openapi.from_dict(
    APP.test_client().get("/openapi.json").get_json(),
    config=SchemathesisConfig(
        projects=ProjectsConfig(
            default=ProjectConfig(
                generation=GenerationConfig(
                    # Tokens are ours to send; a key of a query that nobody knows is no fault in
                    # some of OpenStack's services.
                    with_security_parameters=False,
                    allow_extra_parameters=False,
                )
            )
        )
    ),
)
schemathesis.serializer.alias("application/openstack-images-v2.1-json-patch", "application/json")

CHECKS: tuple[Any, ...] = (
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


def operation_of(method: str, rule: Rule) -> APIOperation[Any, Any, Any, Any]:
    """Return what the document says of a route."""
    path = re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule)
    return DOCUMENT[path][method]


def check_answer(case: Case[Any], answer: Any, *more: Any) -> None:
    """Raise if an answer is not as the document says. 500 is in it everywhere, and never right."""
    assert answer.status_code != 500
    body = answer.content if isinstance(answer, schemathesis.Response) else answer.data
    # Some actions on a server are accepted with a body, most without: OpenAPI cannot say that.
    checks = CHECKS[:1] if answer.status_code == 202 and not body else CHECKS
    case.validate_response(answer, checks=[*checks, *more])
