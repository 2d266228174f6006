"""A bridge on which a control plane and hosts in namespaces of their own meet."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.drivers.libvirtd import PrivateHost
from tests.drivers.namespaces import Namespace

#: A network for documentation (RFC 5737): nobody's, so nothing real is hidden behind it.
GATEWAY = "198.51.100.1"
#: Another one, for hosts without a control plane: both can be there at once.
UNDERLAY = "203.0.113.1"
#: What hosts have as the operator's bridge: onto another wire, where they have no address.
OPERATORS_BRIDGE = "br-ext"
#: Of a machine that is no host: on the bridge, and on that other wire.
OUTSIDE, BEYOND = "198.51.100.2", "203.0.113.2"


class LabBridge:
    """A bridge on which hosts meet, and whoever has the gateway's address: the control plane. And
    another one, to which only operators' bridges lead."""

    def __init__(self, gateway: str = GATEWAY) -> None:
        self._gateway = gateway
        self._name = f"by{'l' if gateway == GATEWAY else 'u'}{os.getpid()}"[:12]
        self._beyond = f"{self._name}x"
        self._outsides: list[str] = []

    def __enter__(self) -> "LabBridge":
        for name in (self._name, self._beyond):
            _add_bridge(name)
        _ip("addr", "add", f"{self._gateway}/24", "dev", self._name)
        return self

    def __exit__(self, *_: object) -> None:
        # A namespace that is gone takes its interface with it, but only after a while.
        for outside in self._outsides:
            subprocess.run(["ip", "link", "delete", outside], check=False, capture_output=True)
        for name in (self._name, self._beyond):
            _ip("link", "delete", name)

    def join(self, host: PrivateHost, number: int) -> str:
        """Give the host an interface on the bridge; return its address."""
        address = f"{self._gateway.removesuffix('.1')}.{10 + number}"
        self._lead(self._name, f"v{number}", host.name, "lab0")
        _ip("-n", host.name, "addr", "add", f"{address}/24", "dev", "lab0")
        return address

    def add_operators_bridge(self, host: PrivateHost, number: int) -> None:
        """Give the host a bridge of the operator's."""
        _add_bridge(OPERATORS_BRIDGE, "-n", host.name)
        self._lead(self._beyond, f"w{number}", host.name, "ext0")
        _ip("-n", host.name, "link", "set", "ext0", "master", OPERATORS_BRIDGE)

    @contextmanager
    def outside(self) -> Iterator[Namespace]:
        """Have a machine that is no host, on the bridge and beyond the operators'."""
        made = Namespace(f"{self._name}o", [OUTSIDE, BEYOND])
        _ip("netns", "add", made.name)
        try:
            for bridge, device, address in (
                (self._name, "eth0", OUTSIDE),
                (self._beyond, "eth1", BEYOND),
            ):
                self._lead(bridge, "o", made.name, device)
                _ip("-n", made.name, "addr", "add", f"{address}/24", "dev", device)
            yield made
        finally:
            made.remove()

    def _lead(self, bridge: str, suffix: str, namespace: str, device: str) -> None:
        """Have an interface in the namespace, whose other end is on a bridge."""
        outer = f"{bridge}{suffix}"
        _ip("link", "add", outer, "type", "veth", "peer", "name", device, "netns", namespace)
        self._outsides.append(outer)
        _ip("link", "set", outer, "master", bridge, "up")
        _ip("-n", namespace, "link", "set", device, "up")


def _add_bridge(name: str, *where: str) -> None:
    _ip(*where, "link", "add", name, "type", "bridge", "forward_delay", "0")
    _ip(*where, "link", "set", name, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
