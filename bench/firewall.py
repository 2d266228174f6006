"""What security groups cost a host with many ports: the table is real, the guests are not there."""

import argparse
import os
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from tasks.messages import FirewallSpec, GroupSpec, PortAddress, PortSpec, RuleSpec
from tests.drivers.namespaces import inside
from workers.hypervisor.firewall_state import FirewallState, HostNetwork, merged
from workers.hypervisor.libvirt.firewall import cuts, kernel
from workers.hypervisor.libvirt.firewall.ruleset import changes, whole
from workers.hypervisor.libvirt.firewall.table import table

_NETWORK = HostNetwork(network_id=str(uuid.uuid4()), bridge="byrebench", addresses=["10.9.0.1"])
_REPEATS = 5
_CONNECTIONS = 10_000


def run_firewall(options: argparse.Namespace, _directory: Path) -> dict[str, Any]:
    """Measure in a namespace of its own, with `--servers` ports in one group."""
    name = f"byre-f{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with inside(name):
            return _measure(options.servers)
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def _measure(count: int) -> dict[str, Any]:
    group = GroupSpec(group_id=str(uuid.uuid4()), rules=_rules(22))
    own = RuleSpec(direction="ingress", version=4, remote_group=group.group_id)
    group = group.model_copy(update={"rules": [*group.rules, own]})
    ports = [_port(number, group) for number in range(count)]
    state = _told(FirewallState(), group, ports, ports)
    began = time.perf_counter()
    kernel.apply(whole(table(state)))
    all_ms = _since(began)
    added, changed = [], []
    for number in range(_REPEATS):
        new = _port(count + number, group)
        added.append(_timed(partial(_told, state, group, [*ports, new], [new]), state))
        later = group.model_copy(update={"rules": [*group.rules, *_rules(1000 + number)]})
        changed.append(_timed(partial(_told, state, later, ports, []), state))
    _connect(ports[0])
    cutting = _cut(_without_rules(state, group))
    return {
        "ports": count,
        "whole_table_ms": all_ms,
        "one_more_port_ms": round(statistics.median(added), 1),
        "rule_of_all_ports_ms": round(statistics.median(changed), 1),
        **cutting,
    }


def _connect(port: PortSpec) -> None:
    """Have the kernel know of many connections to the port, that the group allows."""
    address = port.addresses[0].address
    lines = [
        f"-I -p 6 -s 192.0.2.{number // 60_000 + 1} -d {address} --sport {1000 + number % 60_000}"
        " --dport 22 --state ESTABLISHED -t 300"
        for number in range(_CONNECTIONS)
    ]
    command = ["conntrack", "-R", "-"]
    subprocess.run(command, input="\n".join(lines), text=True, capture_output=True, check=False)


def _without_rules(state: FirewallState, group: GroupSpec) -> FirewallState:
    return _told(state, group.model_copy(update={"rules": []}), [], [])


def _cut(state: FirewallState) -> dict[str, float]:
    """Return what it takes to cut all of them, and to look through them when nothing is to do."""
    began = time.perf_counter()
    changed = cuts.settle(state)
    cut_ms = _since(began)
    began = time.perf_counter()
    cuts.settle(state)
    return {"connections": changed, "cut_ms": cut_ms, "look_at_connections_ms": _since(began)}


def _timed(tell: Callable[[], FirewallState], old: FirewallState) -> float:
    """Return the milliseconds of one change as a worker makes it, and take the change back."""
    known = table(old)
    began = time.perf_counter()
    new = table(tell())
    kernel.apply(changes(known, new, mark=kernel.marker()))
    took = (time.perf_counter() - began) * 1000
    kernel.apply(changes(new, known, mark=new.marker()))
    return took


def _told(
    state: FirewallState, group: GroupSpec, members: list[PortSpec], ports: list[PortSpec]
) -> FirewallState:
    addresses = [port.addresses[0].address for port in members]
    firewall = FirewallSpec(
        revision=state.revision + 1, groups=[group], members={group.group_id: addresses}
    )
    return merged(state, firewall, ports, {_NETWORK.network_id: _NETWORK})


def _rules(port: int) -> list[RuleSpec]:
    return [
        RuleSpec(direction="ingress", version=4, protocol=6, port_min=port),
        RuleSpec(direction="egress", version=4),
    ]


def _port(number: int, group: GroupSpec) -> PortSpec:
    address = str(IPv4Network("10.9.0.0/16")[number + 10])
    return PortSpec(
        port_id=str(uuid.uuid4()),
        network_id=_NETWORK.network_id,
        mac=f"fa:16:3e:09:{number >> 8:02x}:{number & 255:02x}",
        addresses=[PortAddress(subnet_id="bench", address=address, prefix_length=16)],
        groups=[group.group_id],
    )


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
