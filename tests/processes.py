"""A whole Byre of real processes, for tests and benchmarks: Redis, API, workers, beat.

Everything listens on loopback or on an address of the test's own, on free ports, with files below
one directory; `stop()` ends each process by its id.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import redis

#: Only what programs need to run; nothing of the caller's own settings.
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH")
SECRET_KEY = "test-secret-key-of-at-least-32-characters"


def own_environment() -> dict[str, str]:
    """Return what programs need of this process' environment."""
    return {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}


def free_port(address: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind((address, 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Callable[[], object], what: str, limit_s: float = 60.0) -> None:
    """Return as soon as the condition holds. Raises TimeoutError, naming what did not come."""
    began = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began
        if waited_s > limit_s:
            raise TimeoutError(f"{what}: not within {limit_s:.0f} s")
        # A question often goes to the API, whose processor time the awaited thing needs.
        time.sleep(min(max(waited_s / 20, 0.02), 0.2))


@dataclass
class Program:
    """One process of ours, with its output in a file."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it in a process group of its own."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                env={**own_environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def alive(self) -> bool:
        """Say whether it runs."""
        return self.process is not None and self.process.poll() is None

    def ask_to_end(self) -> None:
        """Tell it to end; returns at once."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()

    def stop(self, limit_s: float = 20.0) -> None:
        """Ask it to end; after the limit, end it and its children."""
        self.ask_to_end()
        self.see_end(limit_s)

    def see_end(self, limit_s: float = 20.0) -> None:
        """Wait until it, asked to, has ended; after the limit, end it and its children."""
        if self.process is None:
            return
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End it at once, with its children."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def says(self, words: str) -> bool:
        """Say whether the words are in its output. Raises RuntimeError if it has ended instead."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        if words not in text and not self.alive():
            raise RuntimeError(f"{self.name} ended:\n{text[-3000:]}")
        return words in text


class RedisServer:
    """A Redis of one's own, bound to the given addresses."""

    def __init__(self, directory: Path, addresses: Sequence[str] = ("127.0.0.1",)) -> None:
        self.address, self.port = addresses[0], free_port(addresses[0])
        command = ["redis-server", "--port", str(self.port), "--bind", *addresses]
        command += ["--save", "", "--appendonly", "no", "--protected-mode", "no"]
        command += ["--dir", str(directory)]
        self.program = Program("redis", command, {}, directory / "redis.log")

    @property
    def url(self) -> str:
        """Where it is, as seen from its first address."""
        return f"redis://{self.address}:{self.port}/0"

    def start(self) -> None:
        """Start it; returns when it answers."""
        self.program.start()
        wait_until(self._answers, "redis", 20)

    def stop(self) -> None:
        """End it; nothing is kept."""
        self.program.stop()

    def _answers(self) -> bool:
        with suppress(redis.RedisError):
            return bool(redis.Redis.from_url(self.url).ping())
        return False


class Broker(Protocol):
    """A broker that a test can start and end."""

    address: str
    program: Program

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    def start(self) -> None:
        """Start it; returns when it answers."""
        ...

    def stop(self) -> None:
        """End it."""
        ...


class Byre:
    """The control plane's processes and any number of compute workers."""

    def __init__(self, directory: Path, database_url: str, broker: Broker) -> None:
        self.directory, self.broker = directory, broker
        self.address = broker.address
        self.api_port = free_port(self.address)
        self.api_url = f"http://{self.address}:{self.api_port}"
        self.common = {"BYRE_BROKER_URL": broker.url, "BYRE_LOG_FORMAT": "json"}
        self.control_environment = {
            **self.common,
            "BYRE_DATABASE_URL": database_url,
            "BYRE_SECRET_KEY": SECRET_KEY,
            "BYRE_API_BIND": f"{self.address}:{self.api_port}",
            "BYRE_INTERNAL_API_URL": self.api_url,
            "BYRE_IMAGE_STORE": str(directory / "images"),
            "BYRE_HOST_SILENCE_LIMIT_S": "6",
            "BYRE_SWEEP_INTERVAL_S": "1",
        }
        self.programs: dict[str, Program] = {}

    def start_control(self, *, api: bool = True, beat: bool = True, **settings: str) -> None:
        """Start the control worker, and the API and beat if wanted."""
        self.control_environment.update(settings)
        self._start("control", ["-m", "workers.control"], self.control_environment)
        if beat:
            self._start("beat", ["-m", "workers.beat"], self.control_environment)
        if api:
            self._start("api", ["-m", "app.serve"], self.control_environment)
            wait_until(self._api_answers, "the API", 30)
        wait_until(lambda: self.programs["control"].says("ready."), "the control worker", 30)

    def start_compute(self, host: str, prefix: Sequence[str] = (), **settings: str) -> Program:
        """Start a host's compute worker, by default with the fake driver. `prefix` is put before
        its command, to run it elsewhere."""
        state = self.directory / host
        state.mkdir(exist_ok=True)
        environment = {
            **self.common,
            "BYRE_HOST": host,
            "BYRE_DRIVER": "fake",
            "BYRE_STATE_DIR": str(state / "state"),
            "BYRE_STORAGE_DIR": str(state / "storage"),
            "BYRE_CONSOLE_DIR": str(state / "console"),
            "BYRE_HEARTBEAT_INTERVAL_S": "1",
            **settings,
        }
        return self._start(f"compute-{host}", ["-m", "workers.compute"], environment, prefix)

    def stop_computes(self) -> None:
        """End the compute workers."""
        self._end([name for name in self.programs if name.startswith("compute-")])

    def stop(self) -> None:
        """End every process."""
        self._end(list(self.programs))

    def _end(self, names: Sequence[str]) -> None:
        """End these at the same time: each may have work in hand that it waits for."""
        programs = [self.programs.pop(name) for name in reversed(names)]
        for program in programs:
            program.ask_to_end()
        for program in programs:
            program.see_end()

    def logs(self, name: str) -> str:
        """Return what a process has written."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def _start(
        self,
        name: str,
        words: Sequence[str],
        environment: Mapping[str, str],
        prefix: Sequence[str] = (),
    ) -> Program:
        command = [*prefix, sys.executable, *words]
        program = Program(name, command, environment, self.directory / f"{name}.log")
        program.start()
        self.programs[name] = program
        return program

    def _api_answers(self) -> bool:
        if not self.programs["api"].alive():
            raise RuntimeError(f"the API ended:\n{self.logs('api')[-3000:]}")
        with suppress(OSError), socket.create_connection((self.address, self.api_port), 1):
            return True
        return False
