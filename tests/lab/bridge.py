"""A bridge on which a control plane and hosts in namespaces of their own meet."""

import os
import subprocess

from tests.drivers.libvirtd import PrivateHost

#: A network for documentation (RFC 5737): nobody's, so nothing real is hidden behind it.
GATEWAY = "198.51.100.1"
BRIDGE = f"byl{os.getpid()}"[:12]


class LabBridge:
    """A bridge on which the control plane and the hosts meet."""

    def __init__(self) -> None:
        self._outsides: list[str] = []

    def __enter__(self) -> "LabBridge":
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{GATEWAY}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        return self

    def __exit__(self, *_: object) -> None:
        # A namespace that is gone takes its interface with it, but only after a while.
        for outside in self._outsides:
            subprocess.run(["ip", "link", "delete", outside], check=False, capture_output=True)
        _ip("link", "delete", BRIDGE)

    def join(self, host: PrivateHost, number: int) -> str:
        """Give the host an interface on the bridge; return its address."""
        address, outside = f"198.51.100.{10 + number}", f"{BRIDGE}v{number}"
        _ip("link", "add", outside, "type", "veth", "peer", "name", "lab0", "netns", host.name)
        self._outsides.append(outside)
        _ip("link", "set", outside, "master", BRIDGE, "up")
        _ip("-n", host.name, "addr", "add", f"{address}/24", "dev", "lab0")
        _ip("-n", host.name, "link", "set", "lab0", "up")
        return address


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
