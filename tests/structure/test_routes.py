"""The table of routes: each has a row in the policy, a case over HTTP, and a line in routes.txt.

routes.txt is what the API is, at one glance. After a wanted change write it anew with
`python -m tests.structure.test_routes`, which writes docs/compute-api.md too.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from flask import Flask
from werkzeug.routing import Rule

from app.db.session import make_engine, make_sessions
from app.factory import create_app
from app.policy import POLICY
from tests.http.cases import Recorder
from tests.http.table import CASES
from tests.rows import make_settings

API = Path(__file__).parents[2] / "app" / "api"
#: Lines of a handler, its docstring included.
LONGEST = 20
GOLDEN = Path(__file__).with_name("routes.txt")

#: Routes whose success takes more than one request: tests of their own, beside the table.
OWN_TESTS = {
    "tests/http/test_attach_interface.py": {
        ("POST", "/compute/v2.1/servers/<server_id>/os-interface"),
        ("DELETE", "/compute/v2.1/servers/<server_id>/os-interface/<port_id>"),
    },
    "tests/http/test_diagnostics.py": {
        ("GET", "/compute/v2.1/servers/<server_id>/diagnostics"),
    },
    "tests/http/test_images.py": {
        ("PUT", "/image/v2/images/<image_id>/file"),
        ("PATCH", "/image/v2/images/<image_id>"),
        ("GET", "/byre/v1/images/<image_id>/file"),
    },
    "tests/http/test_image_actions.py": {
        ("PUT", "/image/v2/images/<image_id>/tags/<tag>"),
        ("DELETE", "/image/v2/images/<image_id>/tags/<tag>"),
        ("POST", "/image/v2/images/<image_id>/actions/deactivate"),
        ("POST", "/image/v2/images/<image_id>/actions/reactivate"),
        ("GET", "/image/v2/schemas/image"),
        ("GET", "/image/v2/schemas/images"),
    },
    "tests/http/test_document.py": {("GET", "/openapi.json")},
}


def make_app() -> Flask:
    """Return the application on a database without tables: nothing is asked of it."""
    return create_app(make_settings(), make_sessions(make_engine("sqlite://")), Recorder())


def routes(app: Flask) -> Iterator[tuple[str, Rule]]:
    """Yield every method of every rule, as the table lists them."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda each: each.rule):
        for method in sorted((rule.methods or set()) - {"HEAD"}):
            yield method, rule


def table(app: Flask) -> str:
    """Return the routes as text."""
    lines = []
    for method, rule in routes(app):
        handler = app.view_functions[rule.endpoint]
        action = getattr(handler, "policy_action", "-")
        who = POLICY[action].value if action in POLICY else "-"
        place = handler.__module__.removeprefix("app.api.")
        lines.append(f"{method:6} {rule.rule:52} {action:27} {who:7} {place}.{handler.__name__}")
    return "\n".join(lines) + "\n"


def test_the_table_is_as_written() -> None:
    assert table(make_app()) == GOLDEN.read_text()


def test_every_route_has_a_row_in_the_policy_and_every_row_a_route() -> None:
    app = make_app()

    actions = {
        getattr(app.view_functions[rule.endpoint], "policy_action", None) for _, rule in routes(app)
    }

    assert actions == POLICY.keys()


def test_every_route_has_a_case() -> None:
    app = make_app()
    adapter = app.url_map.bind("localhost")
    covered = set().union(*OWN_TESTS.values())
    for case in CASES:
        path, _, _ = case.path.partition("?")
        if adapter.test(path, case.method):
            rule, _ = adapter.match(path, case.method, return_rule=True)
            covered.add((case.method, rule.rule))

    assert {(method, rule.rule) for method, rule in routes(app)} <= covered


def test_handlers_are_short() -> None:
    lengths = {
        f"{path.name}:{handler.name}": (handler.end_lineno or 0) - handler.lineno
        for path in sorted(API.rglob("*.py"))
        for handler in handlers(path.read_text())
    }

    assert len(lengths) > 50
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def handlers(source: str) -> Iterator[ast.FunctionDef]:
    """Yield the functions of a module that are routes."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and "routes.endpoint" in map(
            ast.unparse, (getattr(each, "func", each) for each in node.decorator_list)
        ):
            yield node


if __name__ == "__main__":
    from tests.structure import test_compute_api

    GOLDEN.write_text(table(make_app()))
    test_compute_api.write()
