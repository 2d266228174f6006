"""What a domain's machine has used and moved, as libvirt counts it. Changes nothing."""

from collections.abc import Sequence

import libvirt
from lxml import etree

from tasks.messages import Diagnosis, DiskUse, InterfaceUse, Traffic


def diagnosis(handle: libvirt.virDomain, *, is_paused: bool) -> Diagnosis:
    """Return what a domain that is on has used. Raises libvirtError."""
    domain = etree.fromstring(handle.XMLDesc(0))
    return Diagnosis(
        driver="libvirt",
        domain_type=domain.get("type", ""),
        state="paused" if is_paused else "running",
        cpu_times_ns=[time_ns for _, _, time_ns, _ in handle.vcpus()[0]],
        memory_kib=handle.maxMemory(),
        memory=handle.memoryStats(),
        disks=[
            _disk(target.get("dev", ""), handle)
            for target in domain.iterfind("devices/disk/target")
        ],
        interfaces=[_interface(each, handle) for each in domain.iterfind("devices/interface")],
    )


def _disk(device: str, handle: libvirt.virDomain) -> DiskUse:
    read_requests, read_bytes, write_requests, write_bytes, errors = handle.blockStats(device)
    return DiskUse(
        device=device,
        read_requests=read_requests,
        read_bytes=read_bytes,
        write_requests=write_requests,
        write_bytes=write_bytes,
        errors=errors,
    )


def _interface(element: etree._Element, handle: libvirt.virDomain) -> InterfaceUse:
    mac, target = element.find("mac"), element.find("target")
    device = "" if target is None else target.get("dev", "")
    counted = handle.interfaceStats(device)
    return InterfaceUse(
        device=device,
        mac="" if mac is None else mac.get("address", ""),
        rx=_traffic(counted[:4]),
        tx=_traffic(counted[4:]),
    )


def _traffic(counted: Sequence[int]) -> Traffic:
    octets, packets, errors, drop = counted
    return Traffic(octets=octets, packets=packets, errors=errors, drop=drop)
