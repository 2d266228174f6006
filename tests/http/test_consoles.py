"""A server's console, as its owner reads it."""

import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from app.db.models import ConsoleAnswer, Hypervisor
from app.db.models.base import now
from app.db.session import reading
from app.services import consoles
from app.services.consoles import take_answer
from tasks.messages import Console, ReadConsole
from tests.http.cases import Api
from tests.http.table_servers import ONE
from tests.http.world import ACTIVE, FAILED, HOST

TEXT = "one\ntwo\r\nthree\x00\nfour"


def ask(api: Api, said: Any, user: str = "alice", path: str = ONE) -> Any:
    return api.call(user, "POST", f"{path}/action", json={"os-getConsoleOutput": said})


def answering(api: Api, text: str = TEXT, times: int = 1) -> None:
    """Let the host answer at once."""

    def answer(order: ReadConsole) -> None:
        told = Console(question=order.question, deadline=order.deadline, text=text)
        for _ in range(times):
            take_answer(api.sessions, told)

    api.recorder.answer = answer


def kept(api: Api) -> int:
    with reading(api.sessions) as session:
        return session.scalar(select(func.count()).select_from(ConsoleAnswer)) or 0


@pytest.mark.parametrize(
    ("said", "output"),
    [
        (None, "one\ntwo\r\nthree\nfour"),
        ({}, "one\ntwo\r\nthree\nfour"),
        ({"length": None}, "one\ntwo\r\nthree\nfour"),
        ({"length": -1}, "one\ntwo\r\nthree\nfour"),
        ({"length": 2}, "three\nfour"),
        ({"length": "1"}, "four"),
        ({"length": 0}, ""),
        ({"length": 9}, "one\ntwo\r\nthree\nfour"),
    ],
)
def test_console_is_read_from_its_end(api: Api, said: Any, output: str) -> None:
    answering(api, times=2)
    answer = ask(api, said)
    assert (answer.status_code, answer.get_json()) == (200, {"output": output})
    [order] = api.recorder.asked
    assert (order.host, order.server_id) == ("host-1", ACTIVE)
    assert kept(api) == 0, "what a guest wrote stays no longer than it has to"


def test_what_nobody_came_for_is_removed(api: Api) -> None:
    old = now() - timedelta(minutes=2)
    with api.sessions.begin() as session:
        session.add(ConsoleAnswer(question="q", text="secret", created_at=old))
    answering(api)
    ask(api, None)
    assert kept(api) == 0


def test_late_answer_is_not_kept(api: Api) -> None:
    take_answer(api.sessions, Console(question="q", deadline=time.time() - 1, text="x"))
    assert kept(api) == 0


def test_host_that_does_not_answer_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consoles, "PATIENCE_S", 0.2)
    answer = ask(api, None)
    assert answer.status_code == 409
    told = answer.get_json()["conflictingRequest"]["message"]
    assert "its host did not answer within" in told


def test_silent_host_is_not_asked(api: Api) -> None:
    with api.sessions.begin() as session:
        session.get_one(Hypervisor, HOST).last_seen_at = now() - timedelta(hours=1)
    answer = ask(api, None)
    assert answer.status_code == 409
    assert api.recorder.asked == []


@pytest.mark.parametrize(
    ("user", "path", "said", "status"),
    [
        ("bob", ONE, None, 404),
        ("rita", ONE, None, 403),
        ("alice", ONE.replace(ACTIVE, FAILED), None, 409),
        ("alice", ONE, {"length": -2}, 400),
        ("alice", ONE, {"length": "x"}, 400),
        ("alice", ONE, {"lines": 3}, 400),
    ],
)
def test_refused_question_asks_nobody(
    api: Api, user: str, path: str, said: Any, status: int
) -> None:
    assert ask(api, said, user, path).status_code == status
    assert api.recorder.asked == []
