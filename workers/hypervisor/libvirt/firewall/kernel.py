"""What the kernel has of our packet filter, asked and changed by its own tools.

`nft` and `ip` in JSON, each with a deadline. python3-nftables is not on
PyPI, and a process of 5 ms is nothing beside what else a change costs.
"""

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.errors import HostBusy, HostError
from workers.hypervisor.libvirt.firewall.expressions import Json
from workers.hypervisor.libvirt.firewall.ruleset import FAMILY, MARKER, TABLE

_LIMIT_S = 30.0
#: Whether bridged packets come through the host's packet filter at all: a switch for every bridge
#: of the host, which appears with the module, and one of each bridge.
_SWITCHES = Path("/proc/sys/net/bridge")
_OF_ALL_BRIDGES = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")
_OF_A_BRIDGE = ("nf_call_iptables", "nf_call_ip6tables")


def apply(commands: list[Json]) -> None:
    """Carry the commands out as one transaction. Raises HostError, HostBusy."""
    if commands:
        run("nft", "-j", "-f", "-", fed=json.dumps({"nftables": commands}))


def marker() -> str | None:
    """Return the marker of our table; None if there is no table, or a broken one."""
    for name in chains(FAMILY).get(TABLE, []):
        if name.startswith(MARKER):
            return name
    return None


def chains(family: str) -> dict[str, list[str]]:
    """Return the names of a family's chains, by table."""
    told = json.loads(run("nft", "-j", "list", "chains", family))
    found: dict[str, list[str]] = {}
    for one in told["nftables"]:
        if "chain" in one:
            found.setdefault(one["chain"]["table"], []).append(one["chain"]["name"])
    return found


def remove_table() -> None:
    """Remove our table, if it is there."""
    table = {"table": {"family": FAMILY, "name": TABLE}}
    apply([{"add": table}, {"delete": table}])


# --- bridges -----------------------------------------------------------------------------------


def load_bridge_filter() -> None:
    """Have the module that lets the packet filter see bridged packets. It begins with all bridges
    of the host; where nobody had it before, nobody else's is to change. Raises HostError."""
    if _SWITCHES.is_dir():
        return
    run("modprobe", "br_netfilter")
    for name in _OF_ALL_BRIDGES:
        (_SWITCHES / name).write_text("0")


def filter_bridge(bridge: str) -> None:
    """Have what crosses the bridge go through the packet filter. Raises HostError."""
    switches = [word for name in _OF_A_BRIDGE for word in (name, "1")]
    run("ip", "link", "set", "dev", bridge, "type", "bridge", *switches)


def bridges() -> dict[str, bool]:
    """Return all bridges, and of each whether its packets are filtered by its own switch."""
    return {
        link["ifname"]: all(link["linkinfo"]["info_data"].get(name) == 1 for name in _OF_A_BRIDGE)
        for link in _links("type", "bridge")
    }


def taps_on(bridges: Iterable[str]) -> set[str]:
    """Return the names of the guests' interfaces on these bridges."""
    wanted = set(bridges)
    return {link["ifname"] for link in _links("type", "tun") if link.get("master") in wanted}


def _links(*which: str) -> list[dict[str, Any]]:
    told = run("ip", "-j", "-d", "link", "show", *which)
    return [link for link in json.loads(told or "[]") if link]


def run(*words: str, fed: str = "", allowed: Sequence[int] = (0,)) -> str:
    """Run one of the tools and return what it says. Raises HostError, HostBusy."""
    try:
        done = subprocess.run(
            words, input=fed, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise HostBusy("The host's packet filter does not answer.", program=words[0]) from error
    except OSError as error:
        raise HostError(
            "The host has no tool for its packet filter.", program=words[0], problem=str(error)
        ) from error
    if done.returncode not in allowed:
        raise HostError(
            "The host's packet filter could not be set.",
            program=" ".join(words[:4]),
            problem=done.stderr[-500:],
        )
    return done.stdout
