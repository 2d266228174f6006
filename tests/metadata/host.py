"""A host in a namespace with the metadata service in it, and guests that are namespaces on its
bridges: real HTTP over the kernel's own bridge, without QEMU."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from tasks.messages import (
    ExternalSpec,
    FloatingSpec,
    NetworkSpec,
    PortAddress,
    PortSpec,
    SubnetSpec,
)
from tests.drivers.values import make_first_boot
from workers.hypervisor.files import replacing
from workers.hypervisor.firewall_state import STATE_FILE, FirewallState
from workers.hypervisor.guest_data import GuestData, GuestStore
from workers.hypervisor.names import bridge_name

URL = "http://169.254.169.254"


def make_network(cidr: str) -> NetworkSpec:
    """Return a network whose host has its first address."""
    host = str(ip_network(cidr)[1])
    subnet = SubnetSpec(
        subnet_id=str(uuid.uuid4()), version=4, cidr=cidr, gateway=host, host_address=host
    )
    return NetworkSpec(network_id=str(uuid.uuid4()), name="n", mtu=1450, subnets=[subnet])


@dataclass
class Guest:
    """A guest: what it is told, and the namespace that it is."""

    data: GuestData
    namespace: str

    @property
    def server_id(self) -> str:
        """Return the server's id."""
        return self.data.server_id

    @property
    def address(self) -> str:
        """Return its one address."""
        return self.data.ports[0].addresses[0].address

    def curl(self, path: str, *words: str, limit_s: int = 5) -> tuple[int, bytes]:
        """Ask the service; return status and content. Status 0: no answer at all."""
        command = ["curl", "-s", "--path-as-is", "-m", str(limit_s), "-w", "%{http_code}", *words]
        done = _run("ip", "netns", "exec", self.namespace, *command, f"{URL}{path}", check=False)
        return int(done[-3:] or b"0"), done[:-3]

    def get(self, path: str) -> str:
        """Return a page that must be there."""
        status, content = self.curl(path)
        assert status == 200, (path, status, content)
        return content.decode()

    def meta(self) -> dict[str, object]:
        """Return OpenStack's metadata as the guest reads it."""
        told: dict[str, object] = json.loads(self.get("/openstack/latest/meta_data.json"))
        return told

    def ip(self, *words: str) -> None:
        """Do as the guest's root may."""
        _run("ip", "-n", self.namespace, *words)


class MetadataHost:
    """One host's namespace, its bridges and its service."""

    def __init__(self, directory: Path) -> None:
        self.name = f"bym{os.getpid()}"
        self.store = GuestStore(directory / "state")
        self.log = directory / "service.log"
        self._state = directory / "state"
        self._guests: list[Guest] = []
        self._bridges: set[str] = set()
        self.service: subprocess.Popen[bytes] | None = None

    def start(self, **settings: str) -> None:
        """Make the namespace, and start the service in it as the worker does."""
        _run("ip", "netns", "add", self.name)
        _run("ip", "-n", self.name, "link", "set", "lo", "up")
        self.start_service(**settings)

    def start_service(self, **settings: str) -> None:
        """Start the service's process; returns when it serves."""
        if self.service is not None and self.service.stdin is not None:
            self.service.stdin.close()
        environment = {**os.environ, "BYRE_STATE_DIR": str(self._state), **settings}
        with self.log.open("ab") as log:
            begin = log.tell()
            self.service = subprocess.Popen(
                ["ip", "netns", "exec", self.name, sys.executable, "-m", "workers.metadata"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
            )
        self.wait_for("metadata.served", begin)

    def wait_for(self, text: str, begin: int = 0) -> None:
        """Wait until the service's log has the text."""
        end = time.monotonic() + 15
        while text.encode() not in self.log.read_bytes()[begin:]:
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    def stop_service(self) -> None:
        """Let go of the service, as a worker does that ends."""
        assert self.service is not None
        assert self.service.stdin is not None
        self.service.stdin.close()
        self.service.wait(timeout=10)

    def stop(self) -> None:
        """Leave nothing."""
        if self.service is not None and self.service.poll() is None:
            self.service.send_signal(signal.SIGKILL)
            self.service.wait(timeout=10)
        if self.service is not None and self.service.stdin is not None:
            self.service.stdin.close()
        for guest in self._guests:
            _run("ip", "netns", "delete", guest.namespace, check=False)
        _run("ip", "netns", "delete", self.name, check=False)

    def add(self, network: NetworkSpec, number: int, **first_boot: object) -> Guest:
        """Add a guest to the network, with that number as the end of address and MAC."""
        subnet = network.subnets[0]
        fixed = PortAddress(
            subnet_id=subnet.subnet_id,
            address=str(ip_network(subnet.cidr)[number]),
            prefix_length=24,
        )
        port = PortSpec(
            port_id=str(uuid.uuid4()),
            network_id=network.network_id,
            mac=f"fa:16:3e:{network.network_id[:2]}:{network.network_id[2:4]}:{number:02x}",
            addresses=[fixed],
        )
        data = GuestData(
            server_id=str(uuid.uuid4()),
            project_id="project",
            first_boot=make_first_boot(**first_boot),
            networks=[network],
            ports=[port],
            random_seed="00",
        )
        guest = Guest(data, f"{self.name}-{len(self._guests)}")
        self._guests.append(guest)
        self._wire(guest, network, port)
        self.store.keep(data)
        return guest

    def give_floating(self, guest: Guest, *addresses: str) -> None:
        """Have the host carry out these floating IPs of the guest, and no others."""
        port, network = guest.data.ports[0], guest.data.networks[0]
        external = ExternalSpec(network_id=str(uuid.uuid4()), cidr="203.0.113.0/24", gateway=None)
        floating = {
            address: FloatingSpec(
                floating_id=address,
                address=address,
                port_id=port.port_id,
                network_id=network.network_id,
                fixed=guest.address,
                external=external,
            )
            for address in addresses
        }
        state = FirewallState(ports={port.port_id: port}, floating=floating)
        with replacing(self._state / STATE_FILE) as (file, _):
            file.write(state.model_dump_json().encode())

    def _wire(self, guest: Guest, network: NetworkSpec, port: PortSpec) -> None:
        """As libvirt does: the device on the bridge has the guest's MAC with another first byte."""
        bridge, subnet = bridge_name(network.network_id), network.subnets[0]
        if bridge not in self._bridges:
            self._bridges.add(bridge)
            self.ip("link", "add", bridge, "type", "bridge")
            self.ip("address", "add", f"{subnet.host_address}/24", "dev", bridge)
            self.ip("link", "set", bridge, "up")
        tap = f"vnet{len(self._guests)}"
        _run("ip", "netns", "add", guest.namespace)
        self.ip(
            "link", "add", tap, "type", "veth", "peer", "name", "eth0", "netns", guest.namespace
        )
        self.ip("link", "set", tap, "address", f"fe{port.mac[2:]}", "master", bridge, "up")
        guest.ip("link", "set", "eth0", "address", port.mac, "up")
        guest.ip("link", "set", "lo", "up")
        guest.ip("address", "add", f"{guest.address}/24", "dev", "eth0")
        guest.ip("route", "add", "default", "via", str(subnet.host_address))

    def ip(self, *words: str) -> bytes:
        """Run iproute2 on the host."""
        return _run("ip", "-n", self.name, *words)


def _run(*command: str, check: bool = True) -> bytes:
    return subprocess.run(command, check=check, capture_output=True, timeout=30).stdout
