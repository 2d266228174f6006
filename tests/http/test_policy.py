"""Every route with every role, and with another project's token: what is answered follows from the
table in app/policy.py, and is as the API's document says. What is missing to try them is said by
tests/structure/test_policy_things.py."""

import pytest
from werkzeug.routing import Rule

from app.api.compute import server_actions
from app.api.gates import ALWAYS, Gate
from app.api.microversions import STANDARD
from app.api.versioned import span_of
from app.policy import ANYONE, POLICY, SERVER_ACTIONS, USER, WITHIN, allows
from app.services.roles import HELD
from tests.http.documented import APP, ROUTES, check_answer, operation_of
from tests.http.policy_things import (
    ACTIONS,
    ANSWERS,
    PEOPLE,
    THINGS,
    TRIES,
    Owner,
    Thing,
    Try,
    things_of,
    values,
)
from tests.http.policy_within import WITHIN_TRIES
from tests.http.restored import Restored
from tests.http.world import token_of

FOREIGNER = "nora"
#: Nobody, somebody without a project, and one of each role; another project's at the end.
ASKERS: tuple[str | None, ...] = (None, "unscoped-token", *PEOPLE)
#: What whoever may do a thing is not answered.
REFUSALS = {401, 403, 404}
#: Alpha's things, of which another project's lists must tell nothing.
SECRETS = {thing.value for thing in THINGS.values() if thing.owner is Owner.PROJECT}

#: Action on a server -> the microversion that it came with, if it is not the first.
SINCE = {
    server_actions.NAMES[name]: span_of(field).since
    for name, field in server_actions.ServerAction().fields.items()
}
ACT = "POST /compute/v2.1/servers/<server_id>/action"


# Each action on a server has a test of its own.
@pytest.mark.parametrize("name", [each for each in ROUTES if each != ACT])
def test_a_route_is_for_whom_the_table_says(restored_world: Restored, name: str) -> None:
    method, rule = ROUTES[name]
    tried = TRIES.get((method, rule.rule), Try())
    action = getattr(APP.view_functions[rule.endpoint], "policy_action", "none")
    version = getattr(APP.view_functions[rule.endpoint], "span", ALWAYS).since

    answers = {asker: ask(restored_world, asker, method, rule, tried, version) for asker in ASKERS}

    wrong = {}
    for asker, status in answers.items():
        expected = expect(asker, action, things_of(rule.arguments, tried.things), tried)
        if not fits(status, expected, tried):
            wrong[asker or "nobody"] = f"{status}, not {expected or 'success'}"
    assert wrong == {}, f"{name} is {POLICY[action].value}'s ({action} in app/policy.py)"


@pytest.mark.parametrize("action", SERVER_ACTIONS)
def test_an_action_is_for_whom_the_table_says(restored_world: Restored, action: str) -> None:
    method, rule = ROUTES[ACT]
    tried = Try({action: ACTIONS[action]}, answer=ANSWERS.get(action))
    row = f"compute:servers:act:{action}"
    version = SINCE[action]

    answers = {asker: ask(restored_world, asker, method, rule, tried, version) for asker in ASKERS}

    assert {
        asker: status
        for asker, status in answers.items()
        if not fits(
            status, expect(asker, row, things_of(rule.arguments, tried.things), tried), tried
        )
    } == {}


@pytest.mark.parametrize("row", WITHIN_TRIES)
def test_a_part_of_a_route_is_for_whom_the_table_says(restored_world: Restored, row: str) -> None:
    tried = WITHIN_TRIES[row]
    wrong = {}
    for asker, (_, role) in PEOPLE.items():
        more = {} if tried.body is None else {"json": tried.body}
        answer = restored_world.api.call(
            asker,
            tried.method,
            tried.path,
            headers=tried.headers,
            content_type=tried.content_type,
            **more,
        )
        status = answer.status_code
        answer.close()
        if tried.method != "GET" and status < 400:
            restored_world.restore()
        # The route itself may be refused before, and another project's thing is not told of.
        refusals = {tried.refusal, 403} | ({404} if asker == FOREIGNER else set())
        # A conflict is no refusal of the policy's.
        done = status < 400 or (status == 409 and tried.refusal != 409)
        if not (done if allows(row, HELD[role]) else status in refusals):
            wrong[asker] = status
    assert wrong == {}, f"{row} is {WITHIN[row].value}'s"


def ask(
    world: Restored, asker: str | None, method: str, rule: Rule, tried: Try, version: Gate | None
) -> int:
    """Send the request as somebody, in a microversion that has it; return the answer's status. What
    it did is undone."""
    # Of what everybody has, another project's asks for somebody else's.
    name = "alice" if asker in (None, "unscoped-token", FOREIGNER) else str(asker)
    path = values(rule.arguments, tried.things, name)
    built = rule.build(path)
    assert built is not None
    headers = {key: value.format(my_token=token_of(name)) for key, value in tried.headers.items()}
    if version is not None:
        headers[STANDARD] = f"compute {version.text}"
    answer = world.api.call(
        asker,
        method,
        built[1] + tried.query,
        headers=headers,
        **({} if tried.body is None else _sent(tried)),
    )
    if asker == FOREIGNER and method == "GET" and answer.status_code == 200:
        text = answer.get_data(as_text=True)
        assert [each for each in SECRETS if each in text] == []
    check_answer(operation_of(method, rule).Case(path_parameters=path), answer)
    answer.close()
    if method != "GET" and answer.status_code not in REFUSALS:
        world.restore()
    return answer.status_code


def _sent(tried: Try) -> dict[str, object]:
    if isinstance(tried.body, str):
        return {"data": tried.body, "content_type": tried.content_type}
    return {"json": tried.body, "content_type": tried.content_type}


def expect(asker: str | None, action: str, things: dict[str, Thing], tried: Try) -> int:
    """Return the refusal that the table demands; 0 for none."""
    who = POLICY.get(action)
    if who is ANYONE:
        return 0
    if asker is None:
        return 401
    if asker == "unscoped-token":
        return tried.unscoped if who is USER else 403
    may = allows(action, HELD[PEOPLE[asker][1]])
    # A server is looked up before anything is refused.
    if asker == FOREIGNER and (may or "server_id" in things):
        is_shared = {thing.owner for thing in things.values()} <= {Owner.ALL}
        return (0 if is_shared else 404) if tried.foreign is None else tried.foreign
    return 0 if may else 403


def fits(status: int, expected: int, tried: Try) -> bool:
    """Say whether an answer is as expected. A conflict is no refusal of the policy's."""
    if expected:
        return status == expected
    return status == tried.answer or (tried.answer is None and (status < 400 or status == 409))
