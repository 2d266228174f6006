"""Every route with every role, and with another project's token: what is answered follows from the
table in app/policy.py. tests/structure/test_policy_things.py says what is missing to try them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from werkzeug.routing import Rule

from app.api import microversions
from app.api.compute import server_actions
from app.api.gates import ALWAYS, Gate
from app.api.microversions import STANDARD
from app.api.versioned import span_of
from app.db.models import Base
from app.db.session import make_engine, make_sessions
from app.factory import create_app
from app.policy import ANYONE, POLICY, SERVER_ACTIONS, USER, allows
from app.services.roles import HELD
from tests.http.cases import Api, Recorder
from tests.http.policy_things import (
    ACTIONS,
    PEOPLE,
    THINGS,
    TRIES,
    Owner,
    Thing,
    Try,
    credential_of,
    id_of,
    make_policy_world,
    write_bytes,
)
from tests.http.world import token_of
from tests.rows import make_settings
from tests.structure.test_routes import make_app, routes

FOREIGNER = "nora"
#: Nobody, somebody without a project, and one of each role; another project's at the end.
ASKERS: tuple[str | None, ...] = (None, "unscoped-token", *PEOPLE)
#: What whoever may do a thing is not answered.
REFUSALS = {401, 403, 404}
#: Alpha's things, of which another project's lists must tell nothing.
SECRETS = {thing.value for thing in THINGS.values() if thing.owner is Owner.PROJECT}

APP = make_app()
ROUTES = {f"{method} {rule.rule}": (method, rule) for method, rule in routes(APP)}
#: Action on a server -> the microversion that it came with, if it is not the first.
SINCE = {
    server_actions.NAMES[name]: span_of(field).since
    for name, field in server_actions.ServerAction().fields.items()
}
ACT = "POST /compute/v2.1/servers/<server_id>/action"


@dataclass
class World:
    """The application, whose database can be put back to how it was."""

    api: Api
    directory: Path
    before: sqlite3.Connection

    def restore(self) -> None:
        """Undo all that was written."""
        with closing(sqlite3.connect(self.directory / "byre.db")) as live:
            self.before.backup(live)
        write_bytes(self.directory / "images")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """What roles may does not hang on the database: SQLite, which is soon put back, will do."""
    directory = tmp_path_factory.mktemp("policy")
    engine = make_engine(f"sqlite:///{directory}/byre.db")
    Base.metadata.create_all(engine)
    sessions = make_sessions(engine)
    make_policy_world(sessions, directory / "images")
    recorder = Recorder()
    settings = make_settings(image_store=directory / "images", image_max_gib=1)
    before = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(directory / "byre.db")) as live:
        live.backup(before)
    app = create_app(settings, sessions, recorder)
    with pytest.MonkeyPatch.context() as patch:
        # Also what is not on offer yet.
        patch.setattr(microversions, "MAXIMUM", list(Gate)[-1].version)
        yield World(Api(app, sessions, recorder), directory, before)
    before.close()
    engine.dispose()


# Each action on a server has a test of its own.
@pytest.mark.parametrize("name", [each for each in ROUTES if each != ACT])
def test_a_route_is_for_whom_the_table_says(world: World, name: str) -> None:
    method, rule = ROUTES[name]
    tried = TRIES.get((method, rule.rule), Try())
    action = getattr(APP.view_functions[rule.endpoint], "policy_action", "none")

    version = getattr(APP.view_functions[rule.endpoint], "span", ALWAYS).since

    answers = {asker: ask(world, asker, method, rule, tried, version) for asker in ASKERS}

    wrong = {}
    for asker, status in answers.items():
        expected = expect(asker, action, things_of(rule, tried), tried)
        if not fits(status, expected, tried):
            wrong[asker or "nobody"] = f"{status}, not {expected or 'success'}"
    assert wrong == {}, f"{name} is {POLICY[action].value}'s ({action} in app/policy.py)"


@pytest.mark.parametrize("action", SERVER_ACTIONS)
def test_an_action_is_for_whom_the_table_says(world: World, action: str) -> None:
    method, rule = ROUTES[ACT]
    tried = Try({action: ACTIONS[action]})
    row = f"compute:servers:act:{action}"
    version = SINCE[action]

    answers = {asker: ask(world, asker, method, rule, tried, version) for asker in ASKERS}

    assert {
        asker: status
        for asker, status in answers.items()
        if not fits(status, expect(asker, row, things_of(rule, tried), tried), tried)
    } == {}


def test_a_service_looks_at_others_tokens_and_ends_none(world: World) -> None:
    headers = {"X-Subject-Token": token_of("alice")}
    url = "/identity/v3/auth/tokens"

    assert world.api.call("sven", "GET", url, headers=headers).status_code == 200
    assert world.api.call("sven", "DELETE", url, headers=headers).status_code == 403


def things_of(rule: Rule, tried: Try) -> dict[str, Thing]:
    """Return what the arguments of the path stand for."""
    return {name: tried.things.get(name) or THINGS[name] for name in rule.arguments}


def ask(
    world: World, asker: str | None, method: str, rule: Rule, tried: Try, version: Gate | None
) -> int:
    """Send the request as somebody, in a microversion that has it; return the answer's status. What
    it did is undone."""
    # Of what everybody has, another project's asks for somebody else's.
    name = "alice" if asker in (None, "unscoped-token", FOREIGNER) else str(asker)
    me = id_of(name)
    words = {"me": me, "my_credential": credential_of(me), "my_token": token_of(name)}
    values = {key: thing.value.format(**words) for key, thing in things_of(rule, tried).items()}
    built = rule.build(values)
    assert built is not None
    headers = {key: value.format(**words) for key, value in tried.headers.items()}
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
