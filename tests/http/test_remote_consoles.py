"""URLs of servers' consoles, as the API gives them."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.db.models import ConsoleToken, Hypervisor
from app.db.models.base import now
from app.db.session import reading
from app.services import remote_consoles
from app.services.remote_consoles import take_way, word_of
from tasks.messages import ConsoleWay, OpenConsole
from tests.http.cases import Api, Like
from tests.http.table_servers import ONE
from tests.http.world import ACTIVE, ALICE, FAILED, HOST

CERTIFICATE = "c" * 64
#: All that is tried here by its own route is there at this version, but for the actions.
AT_2_31 = {"OpenStack-API-Version": "compute 2.31"}
PAGE = Like(r"http://127\.0\.0\.1:6080/vnc_lite\.html\?path=%3Ftoken%3D[0-9a-f]{64}")
SOCKET = Like(r"ws://127\.0\.0\.1:6080/\?token=[0-9a-f]{64}")


def letting_in(api: Api, **told: Any) -> None:
    """Let the host answer at once."""

    def answer(order: OpenConsole) -> None:
        way = {"address": "192.0.2.7", "port": 6090, "certificate": CERTIFICATE, **told}
        said = ConsoleWay(question=order.question, deadline=order.deadline, **way)
        take_way(api.sessions, said)

    api.recorder.let_in = answer


def act(api: Api, action: str, said: Any, who: str = "alice", path: str = ONE) -> Any:
    return api.call(who, "POST", f"{path}/action", json={action: said})


def ask(api: Api, protocol: str, kind: str, who: str = "alice", path: str = ONE) -> Any:
    body = {"remote_console": {"protocol": protocol, "type": kind}}
    return api.call(who, "POST", f"{path}/remote-consoles", json=body, headers=AT_2_31)


def rows(api: Api) -> list[ConsoleToken]:
    with reading(api.sessions) as session:
        return list(session.scalars(select(ConsoleToken)))


def token_of(url: str) -> str:
    return url[-64:]


def told(answer: Any) -> str:
    [fault] = answer.get_json().values()
    message: str = fault["message"]
    return message


@pytest.mark.parametrize(
    ("action", "kind", "url"),
    [("os-getVNCConsole", "novnc", PAGE), ("os-getSerialConsole", "serial", SOCKET)],
)
def test_action_gives_a_url(api: Api, action: str, kind: str, url: Like) -> None:
    letting_in(api)
    answer = act(api, action, {"type": kind})
    assert answer.status_code == 200
    assert answer.get_json() == {"console": {"type": kind, "url": url}}


@pytest.mark.parametrize(
    ("protocol", "kind", "url"), [("vnc", "novnc", PAGE), ("serial", "serial", SOCKET)]
)
def test_remote_console_gives_a_url(api: Api, protocol: str, kind: str, url: Like) -> None:
    letting_in(api)
    answer = ask(api, protocol, kind)
    assert answer.status_code == 200
    console = {"protocol": protocol, "type": kind, "url": url}
    assert answer.get_json() == {"remote_console": console}


def test_host_is_told_a_digest_and_the_row_has_another(api: Api) -> None:
    letting_in(api)
    token = token_of(act(api, "os-getVNCConsole", {"type": "novnc"}).get_json()["console"]["url"])
    [order], [row] = api.recorder.opened, rows(api)
    assert (order.host, order.server_id, order.kind) == ("host-1", ACTIVE, "vnc")
    assert order.digest == hashlib.sha256(word_of(token)).hexdigest()
    assert row.digest == hashlib.sha256(token.encode()).hexdigest()
    assert (row.user_id, row.address, row.port) == (ALICE, "192.0.2.7", 6090)
    assert (row.expires_at - row.created_at).total_seconds() == pytest.approx(600, abs=5)


def test_visit_begins_once(api: Api) -> None:
    letting_in(api)
    token = token_of(act(api, "os-getVNCConsole", {"type": "novnc"}).get_json()["console"]["url"])
    visit = remote_consoles.begin(api.sessions, token)
    assert visit is not None
    assert (visit.server_id, visit.kind, visit.certificate) == (ACTIVE, "vnc", CERTIFICATE)
    assert remote_consoles.begin(api.sessions, token) is None
    assert remote_consoles.go_on(api.sessions, [visit.digest]) == {visit.digest}
    metrics = api.call(None, "GET", "/metrics").get_data(as_text=True)
    assert 'byre_consoles{kind="vnc"} 1.0' in metrics
    assert 'byre_consoles{kind="serial"} 0.0' in metrics
    remote_consoles.end(api.sessions, visit.digest)
    assert rows(api) == []


def test_late_visit_does_not_begin_and_goes_with_the_next_url(api: Api) -> None:
    letting_in(api)
    token = token_of(act(api, "os-getVNCConsole", {"type": "novnc"}).get_json()["console"]["url"])
    with api.sessions.begin() as session:
        session.scalars(select(ConsoleToken)).one().expires_at = now() - timedelta(seconds=1)
    assert remote_consoles.begin(api.sessions, token) is None
    act(api, "os-getVNCConsole", {"type": "novnc"})
    assert len(rows(api)) == 1


def test_token_is_shown_to_administrators_until_it_is_used(api: Api) -> None:
    letting_in(api)
    token = token_of(ask(api, "serial", "serial").get_json()["remote_console"]["url"])
    path = f"/compute/v2.1/os-console-auth-tokens/{token}"
    answer = api.call("root", "GET", path, headers=AT_2_31)
    assert (answer.status_code, answer.get_json()) == (
        200,
        {
            "console": {
                "instance_uuid": ACTIVE,
                "host": "192.0.2.7",
                "port": 6090,
                "internal_access_path": None,
            }
        },
    )
    assert api.call("root", "GET", path).status_code == 404
    assert api.call("alice", "GET", path, headers=AT_2_31).status_code == 403
    remote_consoles.begin(api.sessions, token)
    assert api.call("root", "GET", path, headers=AT_2_31).status_code == 404


@pytest.mark.parametrize("version", ["2.1", "2.5", "2.6"])
def test_actions_end_where_their_route_begins(api: Api, version: str) -> None:
    letting_in(api)
    headers = {"OpenStack-API-Version": f"compute {version}"}
    body = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    route = api.call("alice", "POST", f"{ONE}/remote-consoles", json=body, headers=headers)
    action = {"os-getVNCConsole": {"type": "novnc"}}
    acted = api.call("alice", "POST", f"{ONE}/action", json=action, headers=headers)
    expected = (200, 404) if version == "2.6" else (404, 200)
    assert (route.status_code, acted.status_code) == expected


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"code": "not_running", "refused": "x"}, f"Instance {ACTIVE} is not ready"),
        (
            {"code": "no_console", "refused": "The server has no screen."},
            f"Cannot 'getVNCConsole' instance {ACTIVE}: The server has no screen.",
        ),
    ],
)
def test_host_that_has_no_console_says_why(api: Api, said: dict[str, str], message: str) -> None:
    letting_in(api, **said)
    answer = act(api, "os-getVNCConsole", {"type": "novnc"})
    assert (answer.status_code, told(answer)) == (409, message)
    assert rows(api) == []


def test_host_that_does_not_answer_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.consoles.PATIENCE_S", 0.2)
    answer = ask(api, "vnc", "novnc")
    assert answer.status_code == 409
    assert "its host did not answer within" in told(answer)


def test_silent_host_is_not_asked(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).last_seen_at = now() - timedelta(hours=1)
    assert ask(api, "vnc", "novnc").status_code == 409
    assert api.recorder.opened == []


OTHER = ONE.replace(ACTIVE, FAILED)


@pytest.mark.parametrize(
    ("who", "path", "action", "said", "status", "message"),
    [
        ("bob", ONE, "os-getVNCConsole", {"type": "novnc"}, 404, "could not be found"),
        ("bob", ONE, "os-getSPICEConsole", {"type": "spice-html5"}, 404, "could not be found"),
        ("rita", ONE, "os-getVNCConsole", {"type": "novnc"}, 403, "Policy"),
        ("alice", OTHER, "os-getVNCConsole", {"type": "novnc"}, 409, "is not ready"),
        ("alice", ONE, "os-getVNCConsole", {"type": "xvpvnc"}, 400, "Unavailable console type xvp"),
        ("alice", ONE, "os-getSPICEConsole", {"type": "spice-html5"}, 400, "type spice-html5."),
        ("alice", ONE, "os-getRDPConsole", {"type": "rdp-html5"}, 400, "type rdp-html5."),
        ("alice", ONE, "os-getVNCConsole", {"type": "serial"}, 400, "os-getVNCConsole.type"),
        ("alice", ONE, "os-getVNCConsole", {}, 400, "os-getVNCConsole.type"),
        ("alice", ONE, "os-getVNCConsole", None, 400, "os-getVNCConsole"),
        ("alice", ONE, "os-getSerialConsole", {"type": "serial", "x": 1}, 400, "Console.x"),
    ],
)
def test_refused_action_asks_nobody(
    api: Api, who: str, path: str, action: str, said: Any, status: int, message: str
) -> None:
    answer = act(api, action, said, who, path)
    assert (answer.status_code, message in told(answer)) == (status, True)
    assert api.recorder.opened == []


@pytest.mark.parametrize(
    ("who", "protocol", "kind", "status", "message"),
    [
        ("bob", "vnc", "novnc", 404, "could not be found"),
        ("rita", "vnc", "novnc", 403, "Policy"),
        ("alice", "spice", "spice-html5", 400, "Unavailable console type spice-html5."),
        ("alice", "vnc", "serial", 400, "remote_console.type: Invalid console type serial"),
        ("alice", "telnet", "novnc", 400, "remote_console.protocol"),
        ("alice", "vnc", "x", 400, "remote_console.type"),
    ],
)
def test_refused_remote_console_asks_nobody(
    api: Api, who: str, protocol: str, kind: str, status: int, message: str
) -> None:
    answer = ask(api, protocol, kind, who)
    assert (answer.status_code, message in told(answer)) == (status, True)
    assert api.recorder.opened == []


def test_url_is_what_the_operator_says(api: Api) -> None:
    letting_in(api)
    context = api.app.extensions["byre"]
    settings = context.settings.model_copy(update={"console_url": "https://cloud.example/console/"})
    urls = [remote_consoles._url(settings, kind, "t") for kind in ("vnc", "serial")]
    assert urls == [
        "https://cloud.example/console/vnc_lite.html?path=console%2F%3Ftoken%3Dt",
        "wss://cloud.example/console/?token=t",
    ]
