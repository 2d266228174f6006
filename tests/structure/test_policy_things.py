"""Every route and every action on a server can be tried with every role, by tests.http.test_policy.

For a new one this says what to add where.
"""

import re

from app.api.compute import server_actions
from app.policy import SERVER_ACTIONS, WITHIN
from tests.http.policy_things import ACTIONS, THINGS, TRIES, Try
from tests.http.policy_within import WITHIN_TRIES
from tests.structure.test_routes import make_app, routes

PLACE = "tests/http/policy_things.py"
ACT = ("POST", "/compute/v2.1/servers/<server_id>/action")


def test_every_route_has_things_to_be_tried_on() -> None:
    missing = [
        f"{PLACE}: which thing is <{argument}> of {method} {rule.rule}? Say it in THINGS, or in"
        f' TRIES[("{method}", "{rule.rule}")] = Try(things=...) for this route alone. If it is a'
        " project's, make_policy_world must make it, of the project alpha."
        for method, rule in routes(make_app())
        for argument in sorted(rule.arguments)
        if argument not in THINGS.keys() | TRIES.get((method, rule.rule), Try()).things.keys()
    ]

    assert missing == []


def test_every_route_that_takes_a_body_is_sent_one() -> None:
    app = make_app()
    document = app.test_client().get("/openapi.json").get_json()["paths"]
    missing = []
    for method, rule in routes(app):
        path = re.sub(r"<(?:[^:<>]+:)?(\w+)>", r"{\1}", rule.rule)
        takes_body = "requestBody" in document[path][method.lower()]
        known = TRIES.get((method, rule.rule), Try()).body is not None
        if takes_body and not known and (method, rule.rule) != ACT:
            key = f'("{method}", "{rule.rule}")'
            missing.append(f"{PLACE}: what is sent? TRIES[{key}] = Try({{a body that succeeds}})")

    assert missing == []


def test_every_action_has_a_row_in_the_policy_and_something_to_be_sent() -> None:
    actions = set(server_actions.NAMES.values())

    assert actions == SERVER_ACTIONS.keys(), "app/policy.py: SERVER_ACTIONS says who may do each"
    assert actions == ACTIONS.keys(), f"{PLACE}: ACTIONS says what is sent for each"


def test_every_part_of_a_route_that_the_policy_knows_is_tried() -> None:
    actions = {f"compute:servers:act:{name}" for name in SERVER_ACTIONS}

    assert WITHIN.keys() - actions == WITHIN_TRIES.keys(), "tests/http/policy_within.py"


def test_nothing_is_tried_that_is_not_there() -> None:
    assert TRIES.keys() <= {(method, rule.rule) for method, rule in routes(make_app())}
