"""The port on a real host: libvirt, QEMU, dnsmasq and nwfilter."""

from workers.hypervisor.libvirt.driver import LibvirtHypervisor
from workers.hypervisor.libvirt.settings import LibvirtSettings

__all__ = ["LibvirtHypervisor", "LibvirtSettings"]
