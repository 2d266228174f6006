"""What this host has to offer, as libvirt and its file system tell."""

import shutil
from pathlib import Path

import libvirt
from lxml import etree

from tasks.messages import Inventory
from workers.hypervisor.image_cache.shelf import allocated_bytes
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.disks import prepare_directory
from workers.hypervisor.libvirt.errors import translated
from workers.hypervisor.libvirt.machine_xml import DomainType
from workers.hypervisor.libvirt.processors import Processors
from workers.hypervisor.libvirt.shaping import can_shape
from workers.hypervisor.libvirt.uptime import Uptime

_GIB = 1024**3


class HostInventory:
    """Reads one host. What cannot change while its libvirtd runs is read once."""

    def __init__(
        self,
        keeper: Keeper,
        storage_dir: Path,
        processors: Processors,
        physical_networks: list[str],
    ) -> None:
        self._keeper = keeper
        self._storage_dir = storage_dir
        self._processors = processors
        self._physical_networks = physical_networks
        self._cpu_model: str | None = None
        self._uefi: bool | None = None
        self._shapes: bool | None = None
        self._uptime = Uptime()

    def read(self, domain_type: DomainType) -> Inventory:
        """Return the host's inventory now. Raises HostGone, HostError."""
        prepare_directory(self._storage_dir)
        disk = shutil.disk_usage(self._storage_dir)
        with translated("read the host's inventory"):
            handle = self._keeper.connection()
            architecture = handle.getInfo()[0]
            processors = self._processors.counted()
            # getInfo's memory is what the machine started with, without what was added since.
            memory_kib = handle.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)["total"]
            return Inventory(
                vcpus=processors.shared,
                memory_mib=memory_kib // 1024,
                disk_gib=disk.total // _GIB,
                image_cache_bytes=allocated_bytes(self._storage_dir),
                free_disk_gib=disk.free // _GIB,
                hypervisor_type=handle.getType(),
                hypervisor_version=handle.getVersion(),
                domain_type=domain_type,
                architecture=architecture,
                cpu_model=self._read_cpu_model(handle),
                running_domains=handle.numOfDomains(),
                uefi=self._has_uefi(handle, domain_type),
                vif_limits=self._can_shape(),
                physical_networks=self._physical_networks,
                dedicated_vcpus=processors.dedicated,
                free_dedicated_vcpus=processors.free,
                uptime=self._uptime.read(),
            )

    def _has_uefi(self, handle: libvirt.virConnect, domain_type: DomainType) -> bool:
        if self._uefi is None:
            text = handle.getDomainCapabilities(None, None, None, domain_type, 0)
            found = etree.fromstring(text).iterfind("os/enum[@name='firmware']/value")
            self._uefi = "efi" in [value.text for value in found]
        return self._uefi

    def _can_shape(self) -> bool:
        if self._shapes is None:
            self._shapes = can_shape()
        return self._shapes

    def _read_cpu_model(self, handle: libvirt.virConnect) -> str:
        # libvirt probes every emulator for its capabilities, which is not for each heartbeat.
        if self._cpu_model is None:
            capabilities = etree.fromstring(handle.getCapabilities())
            self._cpu_model = capabilities.findtext("host/cpu/model") or "unknown"
        return self._cpu_model
