"""What this host has to offer, as libvirt and its file system tell."""

import shutil
from pathlib import Path

import libvirt
from lxml import etree

from tasks.messages import Inventory
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.disks import prepare_directory
from workers.hypervisor.libvirt.domain_xml import DomainType
from workers.hypervisor.libvirt.errors import translated

_GIB = 1024**3


class HostInventory:
    """Reads one host. What cannot change while its libvirtd runs is read once."""

    def __init__(self, keeper: Keeper, storage_dir: Path) -> None:
        self._keeper = keeper
        self._storage_dir = storage_dir
        self._cpu_model: str | None = None

    def read(self, domain_type: DomainType) -> Inventory:
        """Return the host's inventory now. Raises HostGone, HostError."""
        prepare_directory(self._storage_dir)
        disk = shutil.disk_usage(self._storage_dir)
        with translated("read the host's inventory"):
            handle = self._keeper.connection()
            architecture, _, vcpus = handle.getInfo()[:3]
            # getInfo's memory is what the machine started with, without what was added since.
            memory_kib = handle.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)["total"]
            return Inventory(
                vcpus=vcpus,
                memory_mib=memory_kib // 1024,
                disk_gib=disk.total // _GIB,
                free_disk_gib=disk.free // _GIB,
                hypervisor_type=handle.getType(),
                hypervisor_version=handle.getVersion(),
                domain_type=domain_type,
                architecture=architecture,
                cpu_model=self._read_cpu_model(handle),
                running_domains=handle.numOfDomains(),
            )

    def _read_cpu_model(self, handle: libvirt.virConnect) -> str:
        # libvirt probes every emulator for its capabilities, which is not for each heartbeat.
        if self._cpu_model is None:
            capabilities = etree.fromstring(handle.getCapabilities())
            self._cpu_model = capabilities.findtext("host/cpu/model") or "unknown"
        return self._cpu_model
