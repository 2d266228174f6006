"""What a domain may use: processors of the host, time on them, disks' and interfaces' rates. Pure.

0 is no limit, and adds nothing.
"""

from dataclasses import dataclass

from lxml import etree

from config.cpu_sets import cpu_set_text
from tasks.messages import Limits, MachineSpec
from workers.hypervisor.libvirt.elements import add

_IOTUNE = {
    "total_bytes_sec": "disk_total_bytes_s",
    "read_bytes_sec": "disk_read_bytes_s",
    "write_bytes_sec": "disk_write_bytes_s",
    "total_iops_sec": "disk_total_iops",
    "read_iops_sec": "disk_read_iops",
    "write_iops_sec": "disk_write_iops",
}
_CPUTUNE = {"shares": "cpu_shares", "period": "cpu_period_us", "quota": "cpu_quota_us"}


@dataclass(frozen=True)
class Pins:
    """The host's processors that a domain runs on."""

    #: One for each vCPU, which has it to itself; none: the vCPUs share.
    own: tuple[int, ...] = ()
    #: For vCPUs that share, and for the emulator's own threads; none: anywhere.
    shared: frozenset[int] = frozenset()


def add_vcpus(domain: etree._Element, machine: MachineSpec, pins: Pins) -> None:
    """Add the vCPUs, where they run, and what they may use of it."""
    shares = {"cpuset": cpu_set_text(pins.shared)} if pins.shared and not pins.own else {}
    add(domain, "vcpu", str(machine.vcpus), placement="static", **shares)
    tuning = etree.Element("cputune")
    _add_limits(tuning, machine.limits, _CPUTUNE)
    for number, cpu in enumerate(pins.own):
        add(tuning, "vcpupin", vcpu=str(number), cpuset=str(cpu))
    if pins.own and pins.shared:
        add(tuning, "emulatorpin", cpuset=cpu_set_text(pins.shared))
    if len(tuning):
        domain.append(tuning)


def add_disk_limits(disk: etree._Element, limits: Limits) -> None:
    """Add the disk's rates: each disk of a server has them for itself."""
    tuning = etree.Element("iotune")
    _add_limits(tuning, limits, _IOTUNE)
    if len(tuning):
        disk.append(tuning)


def add_bandwidth(interface: etree._Element, limits: Limits) -> None:
    """Add the interface's rates; `inbound` is towards the guest."""
    bandwidth = etree.Element("bandwidth")
    for direction in ("inbound", "outbound"):
        rates = {
            name: getattr(limits, f"vif_{direction}_{name}")
            for name in ("average", "peak", "burst")
        }
        if rates["average"]:
            add(bandwidth, direction, **{name: str(rate) for name, rate in rates.items() if rate})
    if len(bandwidth):
        interface.append(bandwidth)


def _add_limits(parent: etree._Element, limits: Limits, fields: dict[str, str]) -> None:
    for tag, field in fields.items():
        if limit := getattr(limits, field):
            add(parent, tag, str(limit))
