"""Servers of the lab from the inside: a shell in the guest by SSH, from the host it lives on."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.conftest import Lab

#: A host key is new with each server, and an address may come back with another one.
_LIMIT_S = 30.0
_OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")


@dataclass(frozen=True)
class Guest:
    """A server that is up, its first address, and the host it lives on."""

    server_id: str
    address: str
    host: str
    _words: tuple[str, ...]

    @classmethod
    def of(cls, lab: Lab, server_id: str, key: Path, user: str = "root") -> "Guest":
        """Return the way into a server by its first address."""
        addresses = lab.user.compute.get_server(server_id).addresses
        address = next(iter(addresses.values()))[0]["addr"]
        # It may have moved since it was made.
        host = lab.admin.compute.get_server(server_id).compute_host
        options = [word for option in _OPTIONS for word in ("-o", option)]
        ssh = ["ssh", "-i", str(key), *options, "-o", "ConnectTimeout=3", f"{user}@{address}"]
        return cls(server_id, address, host, tuple(lab.hosts[host].command(*ssh)))

    def run(self, command: str) -> str:
        """Run a command in the guest and return what it prints; it must succeed."""
        done = self._ran(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def answers(self) -> bool:
        """Say whether one gets in by SSH."""
        return self._ran("true").returncode == 0

    def reaches(self, address: str, size: int = 56) -> bool:
        """Say whether an address answers one of three pings of `size` bytes from the guest."""
        ping = f"ping -c 1 -W 1 -s {size} {address}"
        return self._ran(f"{ping} || {ping} || {ping}").returncode == 0

    def _ran(self, command: str) -> subprocess.CompletedProcess[str]:
        """A connection that a rule's end cuts says nothing more: that is no answer either."""
        words = [*self._words, command]
        try:
            return subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 255, "", f"nothing in {_LIMIT_S} s")


def let_in(lab: Lab, protocol: str, port: int | None = None) -> Any:
    """Add a rule to the user's default group that lets a protocol in from anywhere."""
    group = lab.user.network.find_security_group("default", ignore_missing=False)
    return lab.user.network.create_security_group_rule(
        security_group_id=group.id,
        direction="ingress",
        ethertype="IPv4",
        protocol=protocol,
        port_range_min=port,
        port_range_max=port,
    )
