"""Which of the host's processors guests run on: some to themselves, all others on the rest.

Effect  none of its own: who has which processor is written in the domains' definitions and nowhere
        else, so it lasts as long as they do, and is free again when they are gone.
Repeat  a domain that is defined anew keeps its processors.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import libvirt
from lxml import etree

from config.cpu_sets import cpu_set_text, parse_cpu_set
from tasks.errors import HostError, HostFull
from tasks.messages import MachineSpec
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.lookup import absent_is_done
from workers.hypervisor.libvirt.settings import LibvirtSettings
from workers.hypervisor.libvirt.tuning_xml import Pins


@dataclass(frozen=True)
class Counted:
    """How many processors there are of each kind, and how many dedicated ones are nobody's."""

    shared: int
    dedicated: int
    free: int


class Processors:
    """The processors of one host, as its settings divide them."""

    def __init__(self, keeper: Keeper, settings: LibvirtSettings) -> None:
        self._keeper = keeper
        self._dedicated = settings.cpu_dedicated_set
        self._shared = settings.cpu_shared_set
        self._lock_file = settings.state_dir / "locks" / "processors.lock"

    def counted(self) -> Counted:
        """Count them. Raises HostError for settings that do not fit the host, libvirtError."""
        shared = self._shared_now()
        free = len(self._dedicated - self._taken("")) if self._dedicated else 0
        return Counted(len(shared), len(self._dedicated), free)

    @contextmanager
    def given(self, server_id: str, machine: MachineSpec) -> Iterator[Pins]:
        """Give the processors for the server's domain, which is to be defined before the block
        ends: until then nobody else, in this process or another, chooses any. Raises HostFull,
        HostError, libvirtError."""
        # What is not divided needs no list, and follows processors that come and go.
        shared = self._shared_now() if self._dedicated or self._shared else frozenset[int]()
        if machine.cpu_policy == "shared":
            yield Pins(shared=shared)
            return
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        with self._lock_file.open("w") as lock:
            # Each opens the file for itself, so this keeps threads apart as well.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Pins(self._chosen(server_id, machine.vcpus), shared)

    def _shared_now(self) -> frozenset[int]:
        online = self._online()
        missing = (self._dedicated | self._shared) - online
        if missing:
            raise HostError(
                "The settings cpu_dedicated_set and cpu_shared_set name processors that the host"
                f" does not have: {cpu_set_text(frozenset(missing))}."
            )
        shared = self._shared or online - self._dedicated
        if not shared:
            raise HostError(
                "The setting cpu_dedicated_set leaves no processor for other guests, nor for the"
                " emulators."
            )
        return shared

    def _online(self) -> frozenset[int]:
        present = self._keeper.connection().getCPUMap(0)[1]
        return frozenset(number for number, is_online in enumerate(present) if is_online)

    def _chosen(self, server_id: str, count: int) -> tuple[int, ...]:
        taken = self._taken(server_id)
        own = self._own(server_id)
        if len(own) == count and not taken & set(own) and self._dedicated.issuperset(own):
            return own
        free = sorted(self._dedicated - taken)
        if len(free) < count:
            raise HostFull(
                f"The host has {len(free)} processors left to give away; the server needs {count}."
            )
        return tuple(free[:count])

    def _taken(self, server_id: str) -> set[int]:
        """Return the processors to which a vCPU of another domain is pinned, whoever's it is."""
        taken: set[int] = set()
        for domain in self._keeper.connection().listAllDomains(0):
            if domain.UUIDString() != server_id:
                with absent_is_done():
                    # One that runs may have others than it will have at its next start.
                    taken |= pinned(domain.XMLDesc(0))
                    taken |= pinned(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        return taken

    def _own(self, server_id: str) -> tuple[int, ...]:
        for domain in self._keeper.connection().listAllDomains(0):
            if domain.UUIDString() == server_id:
                return tuple(sorted(pinned(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))))
        return ()


def pinned(description: str) -> set[int]:
    """Return the processors to which the domain's vCPUs are pinned, each by itself."""
    pins = etree.fromstring(description).iterfind("cputune/vcpupin")
    return {cpu for pin in pins for cpu in parse_cpu_set(pin.get("cpuset", ""))}
