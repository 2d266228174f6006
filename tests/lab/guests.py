"""Servers of the lab from the inside: a shell in the guest by SSH, from the host it lives on or
from a machine that is no host."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.drivers.namespaces import Namespace
from tests.lab.conftest import Lab

_LIMIT_S = 30.0
#: A host key is new with each server, and an address may come back with another one.
_OPTIONS = (
    *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"),
    "ConnectTimeout=3",
)
_PASSWORD_ALONE = (
    *("PubkeyAuthentication=no", "PreferredAuthentications=password"),
    "NumberOfPasswordPrompts=1",
)


@dataclass(frozen=True)
class Guest:
    """A server that is up, an address of it, and the host it lives on."""

    server_id: str
    address: str
    host: str
    _user: str
    _key: Path | None
    #: What runs a program on the machine that one comes from.
    _there: tuple[str, ...]

    @classmethod
    def of(cls, lab: Lab, server_id: str, key: Path | None, user: str = "root") -> "Guest":
        """Return the way into a server by its first address; without a key, for a password."""
        addresses = lab.user.compute.get_server(server_id).addresses
        address = next(iter(addresses.values()))[0]["addr"]
        # It may have moved since it was made.
        host = lab.admin.compute.get_server(server_id).compute_host
        return cls(server_id, address, host, user, key, tuple(lab.hosts[host].command()))

    def seen_from(self, outside: Namespace, address: str) -> "Guest":
        """Return the way into the same server from another machine, by another address."""
        return replace(self, address=address, _there=("ip", "netns", "exec", outside.name))

    def run(self, command: str) -> str:
        """Run a command in the guest and return what it prints; it must succeed."""
        done = self._ran(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def answers(self) -> bool:
        """Say whether one gets in by SSH."""
        return self._ran("true").returncode == 0

    def lets_in(self, password: str) -> bool:
        """Say whether one gets in by SSH with the password, and nothing else."""
        with TemporaryDirectory() as directory:
            # SSH takes no password on standard input, but from such a program.
            program = Path(directory) / "askpass"
            program.write_text('#!/bin/sh\nprintf "%s\\n" "$BYRE_TEST_PASSWORD"\n')
            program.chmod(0o700)
            asking = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force"}
            given = {**os.environ, **asking, "BYRE_TEST_PASSWORD": password}
            return self._ran("true", _PASSWORD_ALONE, given).returncode == 0

    def reaches(self, address: str, size: int = 56) -> bool:
        """Say whether an address answers one of three pings of `size` bytes from the guest."""
        ping = f"ping -c 1 -W 1 -s {size} {address}"
        return self._ran(f"{ping} || {ping} || {ping}").returncode == 0

    def _ran(
        self,
        command: str,
        options: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """A connection that a rule's end cuts says nothing more: that is no answer either."""
        said = [word for option in (*_OPTIONS, *options) for word in ("-o", option)]
        key = [] if self._key is None else ["-i", str(self._key)]
        words = [*self._there, "ssh", *said, *key, f"{self._user}@{self.address}", command]
        try:
            return subprocess.run(
                words,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
                stdin=subprocess.DEVNULL,
                env=environment,
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
