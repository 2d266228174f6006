"""The parts of the stack in the order of their start: what runs, where, and what proves it."""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.stack import libvirt
from deploy.stack.client import Api, ApiError
from deploy.stack.layout import Layout
from deploy.stack.process import Background, started_at
from deploy.stack.redis import config_path, redis_answers
from deploy.stack.settings import StackSettings

OPERATOR, USER = "byre-admin", "byre"
WORKERS = frozenset({"control", "compute"})
ZONES = "/compute/v2.1/os-availability-zone/detail"


@dataclass(frozen=True)
class Part:
    """One background process, where it is reached, and the check that it does its work."""

    process: Background
    #: For people: an address, or a short word on what it does.
    detail: str
    #: The TCP port that it needs for itself, if it needs one.
    port: int | None
    works: Callable[[], bool]
    #: How long it may take to work after its start.
    start_limit_s: float = 30.0
    #: How long it may take to end. Workers first end what they have in hand.
    stop_limit_s: float = 15.0

    @property
    def name(self) -> str:
        """Its name in every table and command."""
        return self.process.name


class Stack:
    """The layout, the settings, and the parts made from both."""

    def __init__(self, layout: Layout, settings: StackSettings) -> None:
        self.layout, self.settings = layout, settings
        self.login = functools.cache(self._login)
        self.redis = Part(
            _process(layout, "redis", "redis-server", str(config_path(layout))),
            f"{settings.redis_host}:{settings.redis_port}",
            settings.redis_port,
            lambda: redis_answers(settings),
        )
        self.api = Part(
            _process(layout, "api", program("byre-api")),
            f"http://{settings.api_address}",
            settings.api_port,
            lambda: Api(settings.api_address).answers("/healthz"),
        )
        console = settings.console_address
        self.console = Part(
            _process(layout, "console", program("byre-console")),
            f"http://{console}",
            settings.console_port,
            lambda: Api(console).answers("/healthz"),
        )
        self.parts = (self.redis, self.api, *self._workers(), self.console, _flower(layout))
        #: Starts again what has ended by itself: started last and ended first, so that it never
        #: works against `up` or `down`.
        self.keeper = Part(
            _process(layout, "keeper", sys.executable, "-m", "deploy.stack.keep"),
            "starts again what has ended",
            None,
            lambda: True,
        )

    @property
    def uses_libvirt(self) -> bool:
        """Tell whether real guests are made."""
        return self.settings.driver == "libvirt"

    def libvirt_works(self) -> bool:
        """Tell whether libvirt answers, if it is needed."""
        return not self.uses_libvirt or libvirt.answers()

    def environ(self) -> dict[str, str]:
        """Return the environment of every process. Settings come from the file alone: two shells
        with other variables must not make two different stacks."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("BYRE_")}
        return {**kept, "BYRE_CONFIG": str(self.layout.config)}

    def keeper_environ(self) -> dict[str, str]:
        """Return the supervisor's: it must find the same layout again."""
        layout = {key: value for key, value in os.environ.items() if key.startswith("BYRE_STACK_")}
        return {**self.environ(), **layout}

    def workers_work(self) -> bool:
        """Tell whether a hypervisor was heard of since both workers have started, and lately. Its
        beat goes from its worker through Redis and the control worker into the database."""
        marks = [part.process.alive() for part in self.parts if part.name in WORKERS]
        since = max((started_at(mark) for mark in marks if mark), default=0.0)
        try:
            zones = self.login(OPERATOR).get(ZONES)["availabilityZoneInfo"]
        except ApiError:
            return False
        hosts = [host["nova-compute"] for zone in zones for host in zone["hosts"].values()]
        return any(host["active"] and _moment(host["updated_at"]) > since for host in hosts)

    def _login(self, cloud: str) -> Api:
        """Return the API as a user of clouds.yaml. Raises ApiError."""
        return Api.login(self.settings.api_address, self.layout.clouds, cloud)

    def _workers(self) -> tuple[Part, ...]:
        return (
            # Before the control worker, since it is what the proof of both waits for.
            Part(
                _process(self.layout, "compute", program("byre-compute")),
                "this host; tries KVM at its start",
                None,
                self.workers_work,
                # The first start proves whether KVM works, which has a deadline of its own.
                start_limit_s=90,
            ),
            Part(
                _process(self.layout, "control", program("byre-control")),
                "queue control",
                None,
                self.workers_work,
                start_limit_s=90,
            ),
            Part(
                _process(self.layout, "beat", program("byre-beat")),
                "asks for the sweep",
                None,
                # It shows no more than that it runs.
                lambda: True,
            ),
        )


def _moment(text: str) -> float:
    """Return a time of the API's, which are UTC and do not say so, as Unix seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def program(name: str) -> str:
    """Return the path of a program of the virtual environment that this Python runs in."""
    return str(Path(sys.executable).with_name(name))


def _flower(layout: Layout) -> Part:
    address = f"127.0.0.1:{layout.flower_port}"
    argv = ("--app", "workers.flower", "flower", "--address=127.0.0.1")
    return Part(
        _process(layout, "flower", program("celery"), *argv, f"--port={layout.flower_port}"),
        f"http://{address}",
        layout.flower_port,
        lambda: Api(address).answers("/"),
    )


def _process(layout: Layout, name: str, *argv: str) -> Background:
    return Background(name, argv, layout.pids / f"{name}.pid", layout.logs / f"{name}.log")
