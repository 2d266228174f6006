"""This host's network interfaces, by iproute2: libvirt makes bridges, but no tunnels and no VLANs.

Every function may raise HostError, with what the program said among its facts.
"""

import json
import subprocess
from typing import Any

from tasks.errors import HostError

_LIMIT_S = 10.0


def run(*words: str, given: str | None = None) -> str:
    """Run a program of the host's and return what it prints."""
    try:
        done = subprocess.run(
            words,
            check=False,
            input=given if given is not None else "",
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"The host cannot run {words[0]}.", problem=str(error)) from error
    if done.returncode:
        said = done.stderr.strip()[-500:]
        raise HostError(
            "The host could not change its network.", command=" ".join(words), problem=said
        )
    return done.stdout


def read(*words: str) -> list[dict[str, Any]]:
    """Run `ip` or `bridge` and return what it prints as JSON."""
    text = run(*words).strip()
    found: list[dict[str, Any]] = json.loads(text) if text else []
    return found


def link(name: str) -> dict[str, Any] | None:
    """Return what is known of an interface, in detail; None if there is none of that name."""
    # Asked for all: by name, an absent one is an error like any other.
    found = [each for each in read("ip", "-json", "-details", "link", "show") if each]
    return next((each for each in found if each.get("ifname") == name), None)


def remove(name: str) -> None:
    """Remove an interface. Absent is done."""
    if link(name) is not None:
        run("ip", "link", "delete", name)


def plugged(bridge: str) -> list[str]:
    """Return the interfaces that are ports of a bridge; of one that is not there, none."""
    found = read("ip", "-json", "link", "show")
    return [str(each["ifname"]) for each in found if each.get("master") == bridge]


def mtu_to(address: str) -> int | None:
    """Return the MTU of the interface that has one of the host's own addresses; None if none."""
    for each in read("ip", "-json", "address", "show"):
        if any(held.get("local") == address for held in each.get("addr_info", [])):
            return int(each["mtu"])
    return None


def plug(name: str, bridge: str) -> None:
    """Make an interface a port of a bridge. One that has gone away meanwhile is left out."""
    if link(name) is not None:
        run("ip", "link", "set", name, "master", bridge)


def forget_neighbours(bridge: str, addresses: list[str]) -> None:
    """Let the kernel forget that anybody has answered for these addresses on a bridge."""
    for address in addresses:
        run("ip", "neighbour", "flush", "to", address, "dev", bridge)


def filtering(bridge: str) -> bool:
    """Say whether iptables and nftables see the IP packets that cross a bridge."""
    data = (link(bridge) or {}).get("linkinfo", {}).get("info_data", {})
    return bool(data.get("nf_call_iptables"))


def set_filtering(bridge: str, *, filtered: bool) -> None:
    """Let iptables and nftables see the IP packets that cross a bridge, or not."""
    value = str(int(filtered))
    words = ("nf_call_iptables", value, "nf_call_ip6tables", value)
    run("ip", "link", "set", bridge, "type", "bridge", *words)
