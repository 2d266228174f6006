"""A bridge on which a control plane and hosts in namespaces of their own meet."""

import os
import subprocess

from tests.drivers.libvirtd import PrivateHost

#: A network for documentation (RFC 5737): nobody's, so nothing real is hidden behind it.
GATEWAY = "198.51.100.1"
#: Another one, for hosts without a control plane: both can be there at once.
UNDERLAY = "203.0.113.1"


class LabBridge:
    """A bridge on which hosts meet, and whoever has the gateway's address: the control plane."""

    def __init__(self, gateway: str = GATEWAY) -> None:
        self._gateway = gateway
        self._name = f"by{'l' if gateway == GATEWAY else 'u'}{os.getpid()}"[:12]
        self._outsides: list[str] = []

    def __enter__(self) -> "LabBridge":
        _ip("link", "add", self._name, "type", "bridge")
        _ip("addr", "add", f"{self._gateway}/24", "dev", self._name)
        _ip("link", "set", self._name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        # A namespace that is gone takes its interface with it, but only after a while.
        for outside in self._outsides:
            subprocess.run(["ip", "link", "delete", outside], check=False, capture_output=True)
        _ip("link", "delete", self._name)

    def join(self, host: PrivateHost, number: int) -> str:
        """Give the host an interface on the bridge; return its address."""
        address = f"{self._gateway.removesuffix('.1')}.{10 + number}"
        outside = f"{self._name}v{number}"
        _ip("link", "add", outside, "type", "veth", "peer", "name", "lab0", "netns", host.name)
        self._outsides.append(outside)
        _ip("link", "set", outside, "master", self._name, "up")
        _ip("-n", host.name, "addr", "add", f"{address}/24", "dev", "lab0")
        _ip("-n", host.name, "link", "set", "lab0", "up")
        return address


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
