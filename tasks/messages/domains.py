"""A server's domain and its disks on a host."""

from typing import Literal

from tasks.messages.base import Value
from tasks.messages.boot import BootProof
from tasks.messages.machine import MachineSpec
from tasks.messages.networks import PortSpec

DomainState = Literal["running", "paused", "shutoff", "crashed"]

#: `rescue`: a disk to start from instead of `root`, which is beside it then.
DiskRole = Literal["root", "config", "ephemeral", "swap", "cdrom", "rescue"]


class DiskRef(Value):
    """A disk that is there: what it is for, where, in which format."""

    role: DiskRole
    path: str
    disk_format: Literal["qcow2", "raw"]


class Outline(Value):
    """A domain without its disks. Travels with `restore_domain`."""

    machine: MachineSpec
    ports: list[PortSpec]
    boot: BootProof


class DomainSpec(Outline):
    """A domain to define: hardware, disks and interfaces that are there. From `build_resources`,
    `build_rescue` and `restore_domain`."""

    disks: list[DiskRef]


class DomainRef(Value):
    """A domain that is there, and what to ask it. Given by `define_domain` and by `launch`."""

    domain_id: str
    ports: list[PortSpec]
    boot: BootProof
    #: Unix time in seconds at which it was started; unset until `launch`.
    started_at: float | None = None
