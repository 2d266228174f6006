"""A server with a fake guest, its host's gate, the API that gives URLs, and the console proxy: all
of the way but the broker, in one process."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from app.db.session import Sessions
from app.services.remote_consoles import take_way
from config.settings import ComputeSettings, ControlSettings
from tasks.errors import ByreError
from tasks.messages import ConsoleWay, DomainSpec, OpenConsole
from tests.drivers.values import make_job
from tests.http.cases import Api
from tests.http.conftest import make_api
from tests.http.table_servers import ONE
from tests.http.world import ACTIVE
from tests.processes import free_port, wait_until
from tests.rows import make_settings
from tests.tasks.values import make_build
from workers.console.proxy import Proxy
from workers.gate.gate import Gate
from workers.hypervisor.fake import FakeHypervisor


@dataclass
class Rig:
    """All of it."""

    api: Api
    fake: FakeHypervisor
    gate: Gate
    settings: ControlSettings

    def answer(self, order: OpenConsole) -> None:
        """Let the host answer as its worker does."""
        try:
            way = self.gate.announce(order)
        except ByreError as error:
            way = ConsoleWay(
                question=order.question,
                deadline=order.deadline,
                code=error.code,
                refused=error.public,
            )
        take_way(self.api.sessions, way)

    def ask(self, action: str, console_type: str, who: str = "alice") -> Any:
        """Ask for a console by Nova's action."""
        body = {f"os-get{action}Console": {"type": console_type}}
        return self.api.call(who, "POST", f"{ONE}/action", json=body)

    def url(self, action: str = "Serial", console_type: str = "serial") -> str:
        """Return the URL of the server's console."""
        answer = self.ask(action, console_type)
        assert answer.status_code == 200, answer.get_json()
        url: str = answer.get_json()["console"]["url"]
        return url

    def open(self, url: str, **more: Any) -> ClientConnection:
        """Open a WebSocket of which there is no other one in the page."""
        made: ClientConnection = connect(url, compression=None, open_timeout=10, **more)
        return made


@pytest.fixture
def fake() -> FakeHypervisor:
    """A host whose one guest runs."""
    fake = FakeHypervisor()
    build = make_build()
    machine = build.machine.model_copy(
        update={"hardware": build.machine.hardware.model_copy(update={"video_model": "vga"})}
    )
    spec = DomainSpec(machine=machine, disks=[], ports=[], boot=build.boot)
    fake.define(make_job(server_id=ACTIVE), spec)
    fake.start(ACTIVE)
    return fake


@pytest.fixture
def gate(fake: FakeHypervisor, tmp_path: Path) -> Iterator[Gate]:
    """The host's gate, open."""
    gate = Gate(fake, ComputeSettings(host="host-1", driver="fake", state_dir=tmp_path / "state"))
    gate.start()
    yield gate
    gate.stop()


@pytest.fixture
def rig(sessions: Sessions, tmp_path: Path, fake: FakeHypervisor, gate: Gate) -> Callable[..., Any]:
    """Return a function that starts the proxy with some settings, for a `with`."""

    @contextmanager
    def make(**changes: Any) -> Iterator[Rig]:
        address = f"127.0.0.1:{free_port()}"
        settings = make_settings(console_bind=address, **changes)
        api = make_api(sessions, tmp_path, console_bind=address, **changes)
        made = Rig(api, fake, gate, settings)
        api.recorder.let_in = made.answer
        with serving(Proxy(settings, sessions)):
            yield made

    return make


@contextmanager
def serving(proxy: Proxy) -> Iterator[None]:
    """Run the proxy in a thread, as its process does: what is still open is ended with the loop."""
    ready, stopped = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        await proxy.run(stopped, lambda _: ready.set())

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        wait_until(ready.is_set, "the proxy", 10)
        yield
    finally:
        loops[0].call_soon_threadsafe(stopped.set)
        thread.join(20)
        assert not thread.is_alive()
