"""Interfaces that come to a domain or leave it: in its description, and in its guest if it runs.

Effect  one interface, known by its MAC.
Repeat  one that is there is kept; one that is not is gone.
Undo    `detach`.
"""

import libvirt
from lxml import etree
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random

from tasks.messages import MachineSpec, PortSpec
from workers.hypervisor.libvirt.domain_xml import as_text, interface_xml
from workers.hypervisor.libvirt.domains import TRIES, Domains, is_of_packet_filter
from workers.hypervisor.libvirt.errors import has_code, translated
from workers.hypervisor.libvirt.turns import Turns

_CONFIG, _LIVE = libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE
#: It has gone meanwhile, or QEMU waits for the guest already.
_UNDER_WAY = (libvirt.VIR_ERR_DEVICE_MISSING, libvirt.VIR_ERR_OPERATION_FAILED)


class Interfaces:
    """The interfaces of one host's domains."""

    def __init__(self, domains: Domains, turns: Turns) -> None:
        self._domains, self._turns = domains, turns

    def attach(self, server_id: str, port: PortSpec, machine: MachineSpec) -> None:
        """See the port."""
        with translated("attach the interface"):
            handle = self._domains.present(server_id)
            flags = 0 if _described(handle, port, _CONFIG) is not None else _CONFIG
            if handle.isActive() and _described(handle, port, _LIVE) is None:
                flags |= _LIVE
            if flags:
                with self._turns.libvirts():
                    _attach(handle, as_text(interface_xml(port, machine)), flags)

    def detach(self, server_id: str, port: PortSpec) -> bool:
        """See the port. Its description keeps it until its guest has let go."""
        with translated("detach the interface"):
            if self._domains.find(server_id) is None:
                return True
            handle = self._domains.present(server_id)
            if handle.isActive() and not self._released(handle, port):
                return False
            found = _described(handle, port, _CONFIG)
            if found is not None:
                handle.detachDeviceFlags(found, _CONFIG)
            return True

    def _released(self, handle: libvirt.virDomain, port: PortSpec) -> bool:
        """Ask the guest, for whose answer libvirt waits some seconds; say whether it let go."""
        found = _described(handle, port, _LIVE)
        if found is None:
            return True
        try:
            handle.detachDeviceFlags(found, _LIVE)
        except libvirt.libvirtError as error:
            if not has_code(error, *_UNDER_WAY):
                raise
        return _described(handle, port, _LIVE) is None


def _described(handle: libvirt.virDomain, port: PortSpec, scope: int) -> str | None:
    """Return the interface as libvirt describes it, in what is on disk or in what runs."""
    flags = libvirt.VIR_DOMAIN_XML_INACTIVE if scope == _CONFIG else 0
    for element in etree.fromstring(handle.XMLDesc(flags)).iterfind("devices/interface"):
        mac = element.find("mac")
        if mac is not None and str(mac.get("address")).lower() == port.mac.lower():
            return as_text(element)
    return None


@retry(
    retry=retry_if_exception(is_of_packet_filter),
    stop=stop_after_attempt(TRIES),
    wait=wait_random(0.1, 0.5),
    reraise=True,
)
def _attach(handle: libvirt.virDomain, description: str, flags: int) -> None:
    """As with a start, somebody else's change of the packet filter can make libvirt's fail."""
    handle.attachDeviceFlags(description, flags)
