"""A whole Byre on the fake driver, and OpenStack's clients with its clouds.yaml."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.databases import PostgresServer
from tests.openstack_command import OpenStackCommand
from tests.processes import Byre, RedisServer, wait_until

PASSWORDS = {
    "BYRE_BOOTSTRAP_ADMIN_PASSWORD": "admin-of-the-clients",
    "BYRE_BOOTSTRAP_DEMO_PASSWORD": "demo-of-the-clients",
}

HOSTS = ("host-1", "host-2")


@dataclass
class Cloud:
    """Byre, as its users see it from their shell."""

    byre: Byre
    command: OpenStackCommand
    directory: Path
    #: Of the cloud in clouds.yaml.
    name: str = "byre"

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run `openstack` with the words of a line."""
        clouds = str(self.directory / "clouds.yaml")
        environment = {"OS_CLIENT_CONFIG_FILE": clouds, "OS_CLOUD": self.name}
        return self.command.run(shlex.split(line), environment)

    def do(self, line: str) -> str:
        """Run it for what it does; return what it printed."""
        said = self.run(line)
        assert said.returncode == 0, f"openstack {line}: {said.stderr}"
        return said.stdout

    def get(self, line: str) -> Any:
        """Run it for its answer."""
        return json.loads(self.do(f"{line} -f json"))

    def refused(self, line: str) -> str:
        """Run what is refused; return the reason that is shown."""
        said = self.run(line)
        assert said.returncode != 0, f"openstack {line}: {said.stdout}"
        return said.stderr

    def names(self, line: str, column: str = "Name") -> list[str]:
        """Run a list; return one column."""
        return [row[column] for row in self.get(line)]

    @property
    def admin(self) -> "Cloud":
        """The same, as its operator sees it."""
        return Cloud(self.byre, self.command, self.directory, "byre-admin")


@pytest.fixture(scope="package")
def cloud(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: PostgresServer,
    openstack_command: OpenStackCommand,
) -> Iterator[Cloud]:
    """A running Byre with two hosts and an image, on PostgreSQL."""
    directory = tmp_path_factory.mktemp("clients")
    url = postgres.make_database()
    with ExitStack() as stack:
        stack.callback(postgres.drop_database, url)
        broker = RedisServer(directory)
        byre = Byre(directory, url, broker)
        stack.callback(broker.stop)
        stack.callback(byre.stop)
        broker.start()
        _command(byre, "db", "upgrade")
        clouds = directory / "clouds.yaml"
        auth_url = f"{byre.api_url}/identity/v3"
        _command(byre, "bootstrap", "--clouds", str(clouds), "--auth-url", auth_url)
        disk = directory / "small.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"], check=True)
        byre.start_control(BYRE_SHUTDOWN_GRACE_S="2")
        for host in HOSTS:
            byre.start_compute(host)
        found = Cloud(byre, openstack_command, directory)
        found.admin.do(f"image create --public --disk-format qcow2 --file {disk} small")
        wait_until(lambda: len(found.admin.get("hypervisor list")) == len(HOSTS), "the hosts", 60)
        yield found


def _command(byre: Byre, *words: str) -> None:
    environment = {**os.environ, **byre.control_environment, **PASSWORDS}
    command = [sys.executable, "-m", "app.cli", *words]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
