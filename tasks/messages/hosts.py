"""A host and the control plane beside all runs: signs of life, and its networks as of now."""

from pydantic import Field

from tasks.messages.base import Message, Value
from tasks.messages.firewall import FirewallSpec
from tasks.messages.networks import NetworkSpec, PortSpec
from tasks.messages.runs import AttemptRef


class Inventory(Value):
    """What a hypervisor has to offer, as it found itself."""

    #: Processors that guests share.
    vcpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    disk_gib: int = Field(ge=0)
    free_disk_gib: int = Field(ge=0)
    hypervisor_type: str
    #: libvirt's packing: major * 1,000,000 + minor * 1,000 + release
    hypervisor_version: int
    #: `kvm` or `qemu` (emulated): what a new domain will be.
    domain_type: str
    architecture: str
    cpu_model: str
    running_domains: int = Field(ge=0)
    #: Names of the physical networks that it has a bridge for: provider networks need theirs.
    physical_networks: list[str] = Field(default_factory=list)
    #: Whether a guest can be started by UEFI firmware there.
    uefi: bool = False
    #: Whether it can hold interfaces to a rate: its kernel needs what libvirt does that with.
    vif_limits: bool = False
    #: Processors that are kept for guests with processors of their own. They are not among
    #: `vcpus`; `free_dedicated_vcpus` of them are no domain's.
    dedicated_vcpus: int = Field(default=0, ge=0)
    free_dedicated_vcpus: int = Field(default=0, ge=0)
    #: What cached images take up of the disk: no server can have it.
    image_cache_bytes: int = Field(default=0, ge=0)
    #: What `uptime` says there; empty if it is not told.
    uptime: str = Field(default="", max_length=255)


class Heartbeat(Message):
    """A hypervisor's sign of life, every few seconds. `sent_at` is Unix seconds of its clock."""

    host: str
    host_ip: str
    worker: str
    #: Which life of that worker: a new one has nothing in hand of what the last one had.
    process: str = ""
    sent_at: float
    inventory: Inventory
    #: What this process is doing, or holds until its time comes: nobody else need do it.
    at_work: list[AttemptRef] = Field(default_factory=list)
    #: The newest `Fabric` that this process has carried out; 0: none yet.
    fabric: int = Field(default=0, ge=0)
    #: Ids of the floating IPs of that which the host cannot carry out.
    refused_floating_ips: list[str] = Field(default_factory=list)
    #: Stages that it can run at once, and how many of these are taken.
    slots: int = Field(default=0, ge=0)
    busy: int = Field(default=0, ge=0)


class Hello(Message):
    """A control worker has started. A hypervisor's worker says so by its first heartbeat."""

    worker: str
    process: str


class Canary(Message):
    """Sent through a queue to see whether somebody takes from it. The answer carries the same
    `sent_at` back, so that it proves: whatever was sent before has been taken, or is lost."""

    #: The hypervisor whose queue it goes through; none is the control queue's own.
    host: str | None
    #: Unix seconds of the control plane's clock.
    sent_at: float


class Fabric(Message):
    """What a host's networks have to be like now, beyond what the builds brought: the overlay
    networks and their other hosts, the groups of its ports. A port that is not named is left as
    it is; whatever is named is carried out whole."""

    host: str
    #: The control plane's count of changes for this host. An older one than was carried out is
    #: dropped; the newest carried out comes back in each heartbeat.
    revision: int = Field(ge=0)
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    firewall: FirewallSpec
