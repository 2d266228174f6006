"""Visits to a server's console, from the API's answer to the guest and back."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from sqlalchemy import func, select
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.db.models import ConsoleToken, RoleAssignment, Server
from app.db.models.base import now
from app.db.session import reading
from tests.console.conftest import Rig
from tests.http.world import ACTIVE, ALICE, ALPHA
from tests.processes import wait_until
from workers.console import proxy

Make = Callable[..., Any]

#: One database is enough: the queries are tried on both with the API.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def kept(rig: Rig) -> int:
    with reading(rig.api.sessions) as session:
        return session.scalar(select(func.count()).select_from(ConsoleToken)) or 0


def socket_of(page: str) -> str:
    """Return the WebSocket that noVNC opens from its page's address."""
    parts = urlsplit(page)
    [path] = parse_qs(parts.query)["path"]
    return f"ws://{parts.netloc}/{path}"


def refusal(rig: Rig, url: str, **more: Any) -> int:
    with pytest.raises(InvalidStatus) as refused:
        rig.open(url, **more)
    return refused.value.response.status_code


def code_of(closed: pytest.ExceptionInfo[ConnectionClosed]) -> int | None:
    """Return the reason that the proxy gave for the end."""
    return closed.value.rcvd.code if closed.value.rcvd else None


def test_terminal_answers_and_is_open_once(rig: Make) -> None:
    with rig() as made:
        url = made.url()
        with made.open(url, subprotocols=["binary"]) as terminal:
            assert terminal.subprotocol == "binary"
            assert terminal.recv(5) == f"{ACTIVE} login: ".encode()
            terminal.send("words")
            assert terminal.recv(5) == b"words"
            assert refusal(made, url) == 403
        wait_until(lambda: kept(made) == 0, "the row to go", 10)


def test_screen_speaks_rfb_through_the_page_that_is_served(rig: Make) -> None:
    with rig() as made:
        page = made.url("VNC", "novnc")
        served = requests.get(page, timeout=10)
        assert (served.status_code, "RFB" in served.text) == (200, True)
        assert served.headers["Referrer-Policy"] == "no-referrer"
        with made.open(socket_of(page), origin=f"http://{made.settings.console_bind}") as screen:
            assert screen.recv(5) == b"RFB 003.008\n"
            screen.send(b"RFB 003.008\n")
            assert screen.recv(5) == b"\x01\x01"


def test_pages_are_served_and_nothing_else(rig: Make) -> None:
    with rig() as made:
        base = f"http://{made.settings.console_bind}"
        for path in ("/", "/xterm.js", "/serial.js", "/core/rfb.js", "/vnc.html", "/healthz"):
            assert requests.get(base + path, timeout=10).status_code == 200, path
        for path in ("/..%2f..%2fetc/passwd", "/static", "/utils/novnc_proxy"):
            assert requests.get(base + path, timeout=10).status_code == 404, path


def test_console_ends_with_the_guest(rig: Make) -> None:
    with rig() as made, made.open(made.url()) as terminal:
        terminal.recv(5)
        made.fake.end_guest(ACTIVE)
        with pytest.raises(ConnectionClosed) as closed:
            terminal.recv(5)
        assert code_of(closed) == 1000


def test_who_comes_later_takes_the_terminal(rig: Make) -> None:
    with rig() as made, made.open(made.url()) as first:
        first.recv(5)
        with made.open(made.url()) as second:
            assert second.recv(5)
            with pytest.raises(ConnectionClosed):
                first.recv(5)
            second.send(b"x")
            assert second.recv(5) == b"x"


def test_page_of_another_site_opens_no_console(rig: Make) -> None:
    """CVE-2015-0259: a browser sends what it has to any site that asks."""
    with rig(console_origins="https://Dashboard.example") as made:
        bind = made.settings.console_bind
        url = made.url()
        for foreign in ("http://evil.example", f"http://evil.{bind}", f"https://{bind}", "null"):
            assert refusal(made, url, origin=foreign) == 403
        # Whoever was refused for its origin has not used up the token.
        for own in (f"http://{bind}", "https://dashboard.example:443", "https://dashboard.example"):
            with made.open(url, origin=own) as terminal:
                assert terminal.recv(5)
            url = made.url()


def test_guessing_gets_slow(rig: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "_BURST", 3)
    with rig(console_trusted_proxies=1) as made:
        base = f"ws://{made.settings.console_bind}/?token="
        mine = {"additional_headers": {"X-Forwarded-For": "10.0.0.1, 192.0.2.1"}}
        codes = [refusal(made, f"{base}{guess}", **mine) for guess in ("", "a", "b" * 64, "c")]
        assert codes == [403, 403, 403, 429]
        theirs = {"additional_headers": {"X-Forwarded-For": "192.0.2.2"}}
        assert refusal(made, f"{base}d", **theirs) == 403


def test_proxy_takes_no_more_than_it_may(rig: Make) -> None:
    with rig(console_connections=1) as made, made.open(made.url()) as first:
        first.recv(5)
        assert refusal(made, made.url()) == 503


def change(rig: Rig, what: str) -> None:
    """Take away what a visit hangs on."""
    with rig.api.sessions.begin() as session:
        if what == "role":
            session.get_one(RoleAssignment, (ALICE, ALPHA, "member")).role = "reader"
        elif what == "server":
            session.get_one(Server, ACTIVE).delete_requested_at = now()
        else:
            session.get_one(Server, ACTIVE).hypervisor_id = None


@pytest.mark.parametrize("what", ["role", "server", "host"])
def test_visit_ends_with_the_right_to_it(
    rig: Make, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "LOOK_EVERY_S", 0.1)
    with rig() as made:
        later = made.url()
        with made.open(made.url()) as terminal:
            terminal.recv(5)
            change(made, what)
            with pytest.raises(ConnectionClosed) as closed:
                terminal.recv(5)
            assert code_of(closed) == 1008
        assert refusal(made, later) == 403


def test_idle_console_is_closed(rig: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy, "LOOK_EVERY_S", 0.1)
    with rig(console_idle_limit_s=0.5) as made, made.open(made.url()) as terminal:
        terminal.recv(5)
        with pytest.raises(ConnectionClosed) as closed:
            terminal.recv(5)
        assert "nothing has moved" in str(closed.value)


def test_host_that_forgot_is_told(rig: Make) -> None:
    with rig() as made:
        url = made.url()
        made.gate._ways.clear()
        with made.open(url) as terminal, pytest.raises(ConnectionClosed) as closed:
            terminal.recv(5)
        assert code_of(closed) == 1011


def test_gate_with_another_certificate_is_told_nothing(rig: Make) -> None:
    """Somebody else who listens where the gate did gets no word by which to open the console."""
    with rig() as made:
        url = made.url()
        with made.api.sessions.begin() as session:
            [row] = session.scalars(select(ConsoleToken))
            row.certificate = "0" * 64
        with made.open(url) as terminal, pytest.raises(ConnectionClosed):
            terminal.recv(5)
        assert len(made.gate._ways) == 1


def test_no_token_is_kept_or_logged(rig: Make, capfd: pytest.CaptureFixture[str]) -> None:
    with rig() as made:
        url = made.url()
        [token] = parse_qs(urlsplit(url).query)["token"]
        [order] = made.api.recorder.opened
        assert token not in json.dumps(order.model_dump())
        with made.open(url) as terminal:
            terminal.recv(5)
            with reading(made.api.sessions) as session:
                [row] = session.scalars(select(ConsoleToken))
                assert token not in str(vars(row))
        refusal(made, url)
    assert token not in "".join(capfd.readouterr())
