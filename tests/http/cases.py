"""HTTP cases as data: a request, and the whole answer that it must get."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from app.db.models import Base
from app.db.session import Sessions, reading
from app.services.questions import take_answer
from tasks.messages import (
    Answer,
    DescribeDomain,
    Diagnose,
    Fabric,
    ForgetPasswords,
    OpenConsole,
    Question,
    ReadConsole,
    Tidy,
    WarmCache,
)
from tests.http.world import token_of

_COUNTED = [name for name in Base.metadata.tables if name != "failed_logins"]
#: One statement for all tables, and no work for the ORM: two are sent for each case.
_COUNT = text("SELECT " + ", ".join(f"(SELECT count(*) FROM {name})" for name in _COUNTED))  # noqa: S608


@dataclass
class Recorder:
    """A publisher that remembers what it was to send."""

    sent: list[str] = field(default_factory=list)
    warmed: list[WarmCache] = field(default_factory=list)
    asked: list[ReadConsole] = field(default_factory=list)
    answer: Callable[[ReadConsole], None] | None = None
    opened: list[OpenConsole] = field(default_factory=list)
    let_in: Callable[[OpenConsole], None] | None = None
    questions: list[Question] = field(default_factory=list)
    reply: Callable[[Question], None] | None = None
    broker: bool = True
    nudges: int = 0

    def publish(self, run_id: str) -> None:
        """Remember the run."""
        self.sent.append(run_id)

    def canary(self, host: str | None, moment: datetime) -> None:
        """No use case of the API sends one."""
        raise AssertionError(host)

    def tidy(self, order: Tidy) -> None:
        """No use case of the API orders this."""
        raise AssertionError(order)

    def fabric_changed(self) -> None:
        """Count it."""
        self.nudges += 1

    def fabric(self, order: Fabric) -> None:
        """No use case of the API tells hosts anything itself."""
        raise AssertionError(order)

    def warm(self, order: WarmCache) -> None:
        """Remember the order."""
        self.warmed.append(order)

    def read_console(self, order: ReadConsole) -> None:
        """Let the host answer what the test says, if it says anything."""
        self.asked.append(order)
        if self.answer is not None:
            self.answer(order)

    def open_console(self, order: OpenConsole) -> None:
        """Let the host answer what the test says, if it says anything."""
        self.opened.append(order)
        if self.let_in is not None:
            self.let_in(order)

    def describe_domain(self, order: DescribeDomain) -> None:
        """Let the host answer what the test says, if it says anything."""
        self._ask(order)

    def diagnose(self, order: Diagnose) -> None:
        """Let the host answer what the test says, if it says anything."""
        self._ask(order)

    def _ask(self, question: Question) -> None:
        self.questions.append(question)
        if self.reply is not None:
            self.reply(question)

    def forget_passwords(self, order: ForgetPasswords) -> None:
        """No use case of the API orders this."""
        raise AssertionError(order)

    def broker_answers(self) -> bool:
        """Say what the test wants to hear."""
        return self.broker


def tell(sessions: Sessions, question: Question, text: str = "", refused: str = "") -> None:
    """Let the host that was asked say this, as the control worker takes it."""
    answer = Answer(
        question=question.question,
        deadline=question.deadline,
        text=text,
        code="host_error" if refused else "",
        refused=refused,
    )
    take_answer(sessions, answer)


@dataclass
class Api:
    """The application in a world of its own."""

    app: Flask
    sessions: Sessions
    recorder: Recorder

    def call(self, who: str | None, method: str, path: str, **more: Any) -> TestResponse:
        """Send a request as somebody: a name, a token, or nobody."""
        client: FlaskClient = self.app.test_client()
        headers = dict(more.pop("headers", {}))
        if who is not None:
            headers["X-Auth-Token"] = who if who.endswith("-token") else token_of(who)
        return client.open(path, method=method, headers=headers, **more)

    def count_rows(self) -> dict[str, int]:
        """Return how many rows each table has; a refused login is meant to leave its mark."""
        with reading(self.sessions) as session:
            return dict(zip(_COUNTED, session.execute(_COUNT).one(), strict=True))


class Like:
    """Equal to every text that a regular expression matches whole."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern, re.DOTALL)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self._pattern.fullmatch(other) is not None

    def __hash__(self) -> int:
        return hash(self._pattern)

    def __repr__(self) -> str:
        return f"Like({self._pattern.pattern!r})"


UUID = Like("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HEX = Like("[0-9a-f]{32}")
SECOND = Like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MICRO = Like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

BASE = "http://localhost"
UNAUTHORIZED = {
    "error": {
        "code": 401,
        "message": "The request you have made requires authentication.",
        "title": "Unauthorized",
    }
}


@dataclass(frozen=True)
class Case:
    """A request, and what must come of it. `body` None is an empty answer."""

    name: str
    who: str | None
    method: str
    path: str
    status: int
    body: Any = None
    #: A JSON body to send.
    send: Any = None
    #: Headers that the answer must have.
    headers: dict[str, Any] = field(default_factory=dict)
    #: Headers to send.
    with_headers: dict[str, str] = field(default_factory=dict)
    #: The minor number of compute's microversion to ask for.
    at: int | None = None

    def send_to(self, api: Api) -> TestResponse:
        """Send the request and return the answer."""
        more: dict[str, Any] = {} if self.send is None else {"json": self.send}
        version = {} if self.at is None else {"OpenStack-API-Version": f"compute 2.{self.at}"}
        headers = {**version, **self.with_headers}
        return api.call(self.who, self.method, self.path, headers=headers, **more)

    def found(self, answer: TestResponse) -> tuple[int, Any]:
        """Return the answer's status and body, as to be compared with `status` and `body`."""
        text = answer.get_data(as_text=True)
        answer.close()
        body = json.loads(text) if text and answer.is_json else text
        return answer.status_code, body or None


def compute_fault(status: int, message: Any) -> dict[str, Any]:
    """Return compute's form of an error."""
    keys = {
        400: "badRequest",
        403: "forbidden",
        404: "itemNotFound",
        405: "badMethod",
        409: "conflictingRequest",
        413: "overLimit",
        501: "notImplemented",
    }
    return {keys.get(status, "computeFault"): {"code": status, "message": message}}


def image_fault(status: int, title: str, message: Any) -> dict[str, Any]:
    """Return image's form of an error."""
    return {"code": status, "title": title, "message": message}


def network_fault(kind: str, message: Any) -> dict[str, Any]:
    """Return network's form of an error."""
    return {"NeutronError": {"type": kind, "message": message, "detail": ""}}


def identity_fault(status: int, title: str, message: Any) -> dict[str, Any]:
    """Return identity's form of an error."""
    return {"error": {"code": status, "message": message, "title": title}}


def links(kind: str, thing_id: Any) -> list[dict[str, Any]]:
    """Return the two links of a compute thing."""
    return [
        {"rel": "self", "href": f"{BASE}/compute/v2.1/{kind}/{thing_id}"},
        {"rel": "bookmark", "href": f"{BASE}/compute/{kind}/{thing_id}"},
    ]
