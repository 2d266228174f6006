"""A port that somebody else holds is refused by name, before anything is started."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.__main__ import main
from deploy.stack.layout import read_layout
from deploy.stack.parts import Stack
from deploy.stack.ports import holder_of
from deploy.stack.say import Failure
from deploy.stack.settings import ensure_settings
from deploy.stack.start import refuse_taken_ports

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_the_holder_of_a_port_is_named(taken_port: int) -> None:
    holder = holder_of(taken_port)
    assert holder is not None
    assert f"(pid {os.getpid()})" in holder


def test_a_free_port_has_no_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert holder_of(port) is None


def test_up_refuses_a_taken_port_and_names_the_part(tmp_path: Path, taken_port: int) -> None:
    environ = {
        "BYRE_STACK_DIR": str(tmp_path),
        "BYRE_STACK_API_PORT": str(taken_port),
        "BYRE_STACK_REDIS_PORT": "1",
    }
    layout = read_layout(environ)
    stack = Stack(layout, ensure_settings(layout))
    with pytest.raises(Failure, match=rf"port {taken_port}, which api needs.*pid {os.getpid()}"):
        refuse_taken_ports(stack)


def test_a_taken_port_is_refused_before_it_is_written_into_the_settings(
    tmp_path: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("BYRE_STACK_DIR", str(tmp_path))
    monkeypatch.setenv("BYRE_STACK_REDIS_PORT", str(taken_port))
    monkeypatch.setattr("sys.argv", ["deploy.stack", "up"])
    assert main() == 1
    assert "choose another port: BYRE_STACK_REDIS_PORT" in capsys.readouterr().err
    assert not (tmp_path / "byre.toml").exists()
