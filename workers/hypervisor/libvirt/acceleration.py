"""The type of this host's new domains, by setting or by proof; and the probe guest itself."""

import threading
import time
import uuid
from pathlib import Path

import libvirt
from lxml import etree

from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.disks import prepare_directory
from workers.hypervisor.libvirt.domain_xml import as_text
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.lookup import absent_is_done, lookup
from workers.hypervisor.libvirt.machine_xml import DomainType
from workers.hypervisor.libvirt.probe import decide, newest_kernel, proved
from workers.hypervisor.libvirt.settings import LibvirtSettings

#: One name and one id, so that a probe guest which outlived its worker is found and ended.
_NAME = "byre-kvm-probe"
_UUID = str(uuid.uuid5(uuid.NAMESPACE_DNS, _NAME))
_MEMORY_MIB = 256
_LOOK_PAUSE_S = 0.1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Without a root file system the kernel panics, and this makes a panic the end of the guest.
_KERNEL_COMMAND_LINE = "console=ttyS0 panic=-1"


class Acceleration:
    """Knows what this host's domains are to be, once it has been asked."""

    def __init__(self, keeper: Keeper, settings: LibvirtSettings) -> None:
        self._keeper = keeper
        self._settings = settings
        self._lock = threading.Lock()
        self._decided: DomainType | None = None

    def domain_type(self) -> DomainType:
        """Return `kvm` or `qemu`. The first call under `auto` may take the probe's time limit.
        Raises HostGone."""
        with self._lock:
            if self._decided is None:
                self._decided = self._decide()
            return self._decided

    def _decide(self) -> DomainType:
        if self._settings.acceleration != "auto":
            return self._settings.acceleration
        kernel = self._settings.kvm_probe_kernel or newest_kernel(Path("/boot"))
        boot_id = _BOOT_ID.read_text().strip()
        verdict = decide(self._settings.state_dir, kernel, boot_id, self._run_guest)
        return verdict.domain_type

    def _run_guest(self, kernel: Path) -> str:
        """Start the probe guest, and return what its kernel said until it had proved itself or the
        time was up. The guest is destroyed in any case. Raises HostGone, HostError."""
        prepare_directory(self._settings.console_dir)
        console = self._settings.console_dir / f"{_NAME}.log"
        with translated("start a probe guest under KVM"):
            self._destroy()
            console.unlink(missing_ok=True)
            try:
                description = probe_xml(kernel, console)
                self._keeper.connection().createXML(
                    description, libvirt.VIR_DOMAIN_START_AUTODESTROY
                )
                return self._watched(console)
            finally:
                self._destroy()
                console.unlink(missing_ok=True)

    def _watched(self, console: Path) -> str:
        end = time.monotonic() + self._settings.kvm_probe_limit_s
        output = ""
        runs = True
        while runs and time.monotonic() < end and not proved(output):
            time.sleep(_LOOK_PAUSE_S)
            # Asked before the last read, which then has all that it said.
            runs = self._find_guest() is not None
            if console.exists():
                output = console.read_text(errors="replace")
        return output

    def _find_guest(self) -> libvirt.virDomain | None:
        return lookup(self._keeper.connection().lookupByUUIDString, _UUID)

    def _destroy(self) -> None:
        guest = self._find_guest()
        if guest is not None:
            with absent_is_done(libvirt.VIR_ERR_OPERATION_INVALID):
                guest.destroyFlags(0)


def probe_xml(kernel: Path, console: Path) -> str:
    """Return the probe guest: a kernel, a serial port into a file, and nothing else."""
    domain = etree.Element("domain", type="kvm")
    etree.SubElement(domain, "name").text = _NAME
    etree.SubElement(domain, "uuid").text = _UUID
    etree.SubElement(domain, "memory", unit="MiB").text = str(_MEMORY_MIB)
    etree.SubElement(domain, "vcpu").text = "1"
    system = etree.SubElement(domain, "os")
    etree.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    etree.SubElement(system, "kernel").text = str(kernel)
    etree.SubElement(system, "cmdline").text = _KERNEL_COMMAND_LINE
    etree.SubElement(etree.SubElement(domain, "features"), "acpi")
    etree.SubElement(domain, "cpu", mode="host-model")
    etree.SubElement(domain, "on_reboot").text = "destroy"
    devices = etree.SubElement(domain, "devices")
    etree.SubElement(devices, "controller", type="usb", model="none")
    etree.SubElement(devices, "memballoon", model="none")
    etree.SubElement(etree.SubElement(devices, "video"), "model", type="none")
    serial = etree.SubElement(devices, "serial", type="file")
    etree.SubElement(serial, "source", path=str(console))
    return as_text(domain)
