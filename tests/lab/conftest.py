"""The lab: two hypervisors on this machine, each with a network namespace and a libvirtd of its
own, on a bridge to a control plane; driven through the API with openstacksdk, as a user would."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openstack
import pytest
import requests
from openstack.connection import Connection

from tests.drivers.libvirtd import PrivateHost
from tests.lab.bridge import GATEWAY, OPERATORS_BRIDGE, LabBridge
from tests.processes import Byre, Program, RedisServer, wait_until
from workers.hypervisor.names import console_file, domain_name

PASSWORDS = {
    "BYRE_BOOTSTRAP_ADMIN_PASSWORD": "admin-of-the-lab",
    "BYRE_BOOTSTRAP_DEMO_PASSWORD": "demo-of-the-lab",
}


@dataclass
class Lab:
    """Two hosts and a control plane."""

    byre: Byre
    hosts: dict[str, PrivateHost]
    workers: dict[str, Program]
    user: Connection
    admin: Connection
    image_id: str
    bridge: LabBridge

    def run_of(self, server_id: str) -> dict[str, Any]:
        """Return the server's latest run, as the operator sees it."""
        path = f"{self.byre.api_url}/byre/v1/servers/{server_id}/run"
        answer = requests.get(path, headers={"X-Auth-Token": self.admin.auth_token}, timeout=10)
        answer.raise_for_status()
        run: dict[str, Any] = answer.json()["run"]
        return run

    def stages_of(self, server_id: str) -> dict[str, dict[str, Any]]:
        """Return the stages of the server's latest run, by name."""
        return {stage["name"]: stage for stage in self.run_of(server_id)["stages"]}

    def traces(self, server_id: str) -> list[str]:
        """Name what is left of the server on both hosts, looked up with libvirt's own tools and
        in the hosts' directories."""
        found = []
        for name, host in self.hosts.items():
            listed = {
                "domain": _virsh(host, "list", "--all", "--uuid"),
                "volume": _virsh(host, "vol-list", "byre") if _has_pool(host) else "",
                "files": "\n".join(map(str, (self.byre.directory / name).rglob(f"*{server_id}*"))),
            }
            # The journal remembers on purpose that the server was torn down.
            listed["files"] = "\n".join(
                line for line in listed["files"].splitlines() if "/journal/" not in line
            )
            found += [f"{name}: {what}" for what, text in listed.items() if server_id in text]
        return found

    def console(self, server_id: str) -> str:
        """Return all that the server's guests have written to its serial console."""
        host = self.run_of(server_id)["host"]
        name = console_file(server_id)
        return "".join(
            path.read_text(errors="replace") for path in (self.byre.directory / host).rglob(name)
        )

    def disks(self, server_id: str) -> list[str]:
        """Return the server's disks in its domain's order, named without its id."""
        host = self.hosts[self.run_of(server_id)["host"]]
        words = _virsh(host, "domblklist", domain_name(server_id)).split()
        return [Path(word).name.removeprefix(f"{server_id}.") for word in words if "/" in word]

    def interfaces(self, server_id: str) -> int:
        """Return how many interfaces the server's domain has now."""
        host = self.hosts[self.run_of(server_id)["host"]]
        return _virsh(host, "domiflist", domain_name(server_id)).count("fa:16:3e:")

    def dhcp_entries(self, host: str) -> str:
        """Return the XML of all networks of the host, which holds their DHCP entries."""
        names = _virsh(self.hosts[host], "net-list", "--name").split()
        return "\n".join(_virsh(self.hosts[host], "net-dumpxml", name) for name in names)

    def filters(self, host: str) -> list[str]:
        """Return the host's filters that are ours."""
        text = _virsh(self.hosts[host], "nwfilter-list")
        return [name for name in text.split() if name.startswith("byre-")]


def _virsh(host: PrivateHost, *words: str) -> str:
    command = ["virsh", "-c", host.uri, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def _has_pool(host: PrivateHost) -> bool:
    return "byre" in _virsh(host, "pool-list", "--name").split()


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory, guest_image: Path) -> Iterator[Lab]:
    """Two hosts with real libvirt and QEMU, and everything else beside them."""
    directory = tmp_path_factory.mktemp("lab")
    with ExitStack() as stack:
        bridge = stack.enter_context(LabBridge())
        broker = RedisServer(directory, [GATEWAY, "127.0.0.1"])
        byre = Byre(directory, f"sqlite:///{directory}/byre.db", broker)
        stack.callback(broker.stop)
        stack.callback(byre.stop)
        broker.start()
        image_id = _bootstrap(byre, guest_image)
        # A test stops a host for as long as three guests boot: it is not given up meanwhile.
        byre.start_control(BYRE_HOST_LOST_AFTER_S="300")
        hosts, workers = {}, {}
        for number, name in enumerate(("lab-a", "lab-b")):
            host = PrivateHost(_made(directory / f"host-{name}"), f"byl{os.getpid()}{name[-2:]}")
            stack.callback(host.stop)
            host.start()
            address = bridge.join(host, number)
            bridge.add_operators_bridge(host, number)
            hosts[name] = host
            workers[name] = byre.start_compute(
                name,
                host.command(),
                BYRE_DRIVER="libvirt",
                BYRE_LIBVIRT_URI=host.uri,
                BYRE_HOST_IP=address,
                BYRE_PHYSICAL_NETWORKS=f"ext:{OPERATORS_BRIDGE}",
                BYRE_ACCELERATION="qemu",
            )
        user, admin = _connect(byre, "byre"), _connect(byre, "byre-admin")
        stack.callback(user.close)
        stack.callback(admin.close)
        wait_until(lambda: _alive(admin) == {"lab-a", "lab-b"}, "both hypervisors", 60)
        yield Lab(byre, hosts, workers, user, admin, image_id, bridge)


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


def _alive(admin: Connection) -> set[str]:
    return {h.name for h in admin.compute.hypervisors(details=True) if h.state == "up"}


def _connect(byre: Byre, cloud: str) -> Connection:
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(byre.directory / "clouds.yaml")
    return openstack.connect(cloud=cloud)


def _bootstrap(byre: Byre, image: Path) -> str:
    _byre(byre, "db", "upgrade")
    clouds = str(byre.directory / "clouds.yaml")
    auth_url = f"{byre.api_url}/identity/v3"
    _byre(byre, "bootstrap", "--clouds", clouds, "--auth-url", auth_url)
    printed = _byre(
        byre,
        *("image", "import", str(image), "--name", "small", "--public"),
        *("--property", "byre_boot_proof=console", "--property", "byre_boot_text=login:"),
        *("--property", "byre_boot_limit=120"),
    )
    return printed.split()[-1]


def _byre(byre: Byre, *words: str) -> str:
    environment = {**os.environ, **byre.control_environment, **PASSWORDS}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
