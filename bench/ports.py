"""What a port costs on a host with many: its DHCP entry, its filter, and their removal."""

import argparse
import os
import statistics
import time
import uuid
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import libvirt

from tasks.messages import NetworkSpec, PortAddress, PortSpec, SubnetSpec
from tests.drivers.libvirtd import PrivateHost
from workers.hypervisor.libvirt import LibvirtHypervisor, LibvirtSettings
from workers.hypervisor.libvirt.network_xml import DhcpEntry, network_xml

#: So many ports come and go, on an empty network and on a full one.
_SAMPLE = 20


def run_ports(options: argparse.Namespace, directory: Path) -> dict[str, Any]:
    """Measure one network of a private libvirt that gets one port after the other."""
    (directory / "host").mkdir()
    host = PrivateHost(directory / "host", f"byre-b{os.getpid()}")
    try:
        host.start()
        with host.entered():
            driver = LibvirtHypervisor(
                LibvirtSettings(
                    uri=host.uri,
                    storage_dir=directory / "storage",
                    state_dir=directory / "state",
                    console_dir=directory / "console",
                    acceleration="qemu",
                )
            )
            try:
                return _measure(driver, host.uri, options.servers)
            finally:
                driver.close()
    finally:
        host.stop()


def _measure(driver: LibvirtHypervisor, uri: str, count: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, before in (("empty", 0), ("full", count - _SAMPLE)):
        network = _network(before)
        _fill(uri, network, [_port(network, number) for number in range(before)])
        driver.ensure_network(network)
        ports = [_port(network, before + number) for number in range(_SAMPLE)]
        took = _verbs(driver, network, ports)
        result[f"{name}, {before} ports (ms)"] = took
    return result


def _fill(uri: str, network: NetworkSpec, ports: list[PortSpec]) -> None:
    """Define the network with what earlier ports have left in it, at once."""
    entries = [DhcpEntry(port.mac, port.addresses[0].address, None) for port in ports]
    handle = libvirt.open(uri)
    try:
        handle.networkDefineXML(network_xml(network, None, entries))
    finally:
        handle.close()


def _verbs(
    driver: LibvirtHypervisor, network: NetworkSpec, ports: list[PortSpec]
) -> dict[str, float]:
    ensure, remove = driver.ensure_port, driver.remove_ports
    owner = str(uuid.uuid4())
    calls = {
        "add": [partial(ensure, network, port, "bench") for port in ports],
        "repeat": [partial(ensure, network, port, "bench") for port in ports],
        "remove": [partial(remove, owner, [port]) for port in ports],
    }
    took = {name: _median([_timed(call) for call in each]) for name, each in calls.items()}
    left = [trace for port in ports for trace in driver.traces(owner, [port])]
    if left:
        raise AssertionError(f"left behind: {left}")
    return took


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 1)


def _network(number: int) -> NetworkSpec:
    block = "10.180" if number == 0 else "10.181"
    subnet = SubnetSpec(
        subnet_id=str(uuid.uuid4()),
        version=4,
        cidr=f"{block}.0.0/16",
        gateway=f"{block}.0.1",
        host_address=f"{block}.0.1",
    )
    return NetworkSpec(network_id=str(uuid.uuid4()), name="bench", mtu=1450, subnets=[subnet])


def _port(network: NetworkSpec, number: int) -> PortSpec:
    address = IPv4Network(network.subnets[0].cidr)[number + 10]
    return PortSpec(
        port_id=str(uuid.uuid4()),
        network_id=network.network_id,
        mac=f"fa:16:3e:80:{number >> 8:02x}:{number & 0xFF:02x}",
        addresses=[
            PortAddress(
                subnet_id=network.subnets[0].subnet_id, address=str(address), prefix_length=16
            )
        ],
    )
