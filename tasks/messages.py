"""What crosses the broker: frozen values with units, and the envelope that carries them.

Control plane and hypervisors share these types and nothing else. Every value is JSON; what does
not fit a type is refused with the field's name (`MalformedMessage`), never half understood.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.errors import MalformedMessage, NewerMessage

#: Raised when messages change. A process understands this one and the one before, so that a fleet
#: can be upgraded host by host; a newer one it puts back for somebody who does (`NewerMessage`).
VERSION = 4
OLDEST_VERSION = 3


class Value(BaseModel):
    """A frozen value without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Return the value that `raw` (decoded JSON) spells. Raises MalformedMessage."""
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "(the whole)"
            raise MalformedMessage(
                f"{cls.__name__}: field {where}: {first['msg']}", problems=error.error_count()
            ) from error


class Message(Value):
    """A value that crosses the broker by itself, and so says in which version it speaks.

    What version 3 lacked has defaults. Rows of runs that are still owed may hold networks and
    ports in the form of version 2, which `NetworkSpec` and `PortSpec` still read.
    """

    version: int = VERSION

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Return the message. Raises NewerMessage, MalformedMessage."""
        version = raw.get("version", OLDEST_VERSION) if isinstance(raw, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise NewerMessage(f"{cls.__name__} speaks version {version}; known is {VERSION}.")
        if isinstance(version, int) and version < OLDEST_VERSION:
            raise MalformedMessage(f"{cls.__name__}: no version {version} was ever spoken")
        return super().parse(raw)


# --- the run ---------------------------------------------------------------------------------


class AttemptRef(Value):
    """One attempt of one run."""

    run_id: str
    attempt: int = Field(ge=1)


class Job(Value):
    """Which run, attempt and server a message belongs to: its fence."""

    pipeline: str
    run_id: str
    attempt: int = Field(ge=1)
    server_id: str
    project_id: str
    #: `req-<uuid>` of the HTTP request that caused the run; bound to every log line.
    request_id: str
    #: Unix time in seconds after which no stage of this run may start.
    deadline: float
    #: The hypervisor's name; unset until `schedule` has claimed one.
    host: str | None = None
    #: With `unwind`: the attempt of a create whose traces are to go.
    undoes: AttemptRef | None = None


class Envelope(Message):
    """One message of a chain: the job and what earlier stages gave, by output name."""

    job: Job
    data: dict[str, Any] = Field(default_factory=dict)


# --- what a server is made of ----------------------------------------------------------------


class ImageSource(Value):
    """An image, where to fetch it, and how to know that it arrived whole."""

    image_id: str
    disk_format: Literal["qcow2", "raw", "iso"]
    #: A URL with a signed ticket, good until the run's deadline.
    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=1)


class ImageUpload(Value):
    """An image that a host is to give its bytes. Travels with what copies disks."""

    image_id: str
    #: A URL with a signed ticket, good until the run's deadline.
    url: str


class Route(Value):
    """A route that guests of a subnet are given, beside the default one."""

    destination: str
    nexthop: str


class SubnetSpec(Value):
    """A block of addresses of a network."""

    subnet_id: str
    version: Literal[4, 6]
    cidr: str
    #: The guests' way out, which on all kinds but `provider` is the host itself; none: no way out.
    gateway: str | None
    #: The host's own address there, from which it answers DHCP; the gateway, if there is one.
    #: The same on every host. None where the host has no address (`provider`).
    host_address: str | None
    dns: list[str] = Field(default_factory=list)
    routes: list[Route] = Field(default_factory=list)
    #: Whether the host answers DHCP for it.
    dhcp: bool = True


class Overlay(Value):
    """The tunnel by which a network spans hosts (VXLAN, RFC 7348, head-end replication)."""

    vni: int = Field(ge=1, le=16_777_215)
    #: Underlay addresses of the other hosts that carry the network.
    peers: list[str] = Field(default_factory=list)


class NetworkSpec(Value):
    """A network as its hosts carry it out.

    `nat`: a bridge of the host's own, from which subnets with a gateway reach the world by NAT.
    `isolated`: the same without a way out. Both span hosts if they have an overlay.
    `provider`: a bridge that the host's operator made, by the name of its physical network.
    """

    network_id: str
    name: str
    kind: Literal["nat", "isolated", "provider"] = "nat"
    mtu: int = Field(ge=576, le=9216)
    subnets: list[SubnetSpec]
    overlay: Overlay | None = None
    #: `provider` only: the host's setting `physical_networks` says which bridge that is.
    physical_network: str | None = None
    #: `provider` only: IEEE 802.1Q tag.
    vlan: int | None = Field(default=None, ge=1, le=4094)

    @model_validator(mode="before")
    @classmethod
    def _of_version_2(cls, raw: Any) -> Any:
        """Version 2 knew one IPv4 subnet, in the network's own fields."""
        if not isinstance(raw, dict) or "subnets" in raw or "cidr" not in raw:
            return raw
        raw = dict(raw)
        gateway = raw.pop("gateway", None)
        subnet = {
            "subnet_id": raw.get("network_id"),
            "version": 4,
            "cidr": raw.pop("cidr"),
            "gateway": gateway,
            "host_address": gateway,
            "dns": raw.pop("dns", []),
        }
        return {**raw, "subnets": [subnet]}


class PortAddress(Value):
    """One fixed address of a port."""

    subnet_id: str
    address: str
    prefix_length: int = Field(ge=0, le=128)


class AddressPair(Value):
    """Neutron's allowed address pair: what else a port may send from. An address or a prefix."""

    address: str
    #: None: the port's own.
    mac: str | None = None


class PortSpec(Value):
    """One interface: the control plane chose the MAC and the addresses before anything was made."""

    port_id: str
    network_id: str
    mac: str
    addresses: list[PortAddress]
    #: Neutron's port security: with it the interface is kept to its own MAC and addresses, and to
    #: what its security groups allow; without it, to nothing.
    security: bool = True
    #: Ids of its security groups. With none, nothing but DHCP, ARP and ND gets through.
    groups: list[str] = Field(default_factory=list)
    pairs: list[AddressPair] = Field(default_factory=list)
    #: Whether its groups decide what gets through. Not so for ports of version 2, which knew none.
    grouped: bool = True

    @model_validator(mode="before")
    @classmethod
    def _of_version_2(cls, raw: Any) -> Any:
        """Version 2 knew one address, in the port's own fields, and no groups: all was open."""
        if not isinstance(raw, dict) or "addresses" in raw or "address" not in raw:
            return raw
        raw = dict(raw)
        address = {
            "subnet_id": raw.get("network_id"),
            "address": raw.pop("address"),
            "prefix_length": raw.pop("prefix_length", 32),
        }
        return {**raw, "addresses": [address], "grouped": False}


class RuleSpec(Value):
    """A security group's rule: what it allows. Numbers and addresses only, never a name."""

    direction: Literal["ingress", "egress"]
    version: Literal[4, 6]
    #: IP protocol number; None: any.
    protocol: int | None = Field(default=None, ge=0, le=255)
    #: Ports from and to; with ICMP its type and code.
    port_min: int | None = Field(default=None, ge=0, le=65535)
    port_max: int | None = Field(default=None, ge=0, le=65535)
    #: Prefix of the other side. With neither this nor a group: anybody.
    remote_prefix: str | None = None
    #: Id of the group whose members are the other side.
    remote_group: str | None = None


class GroupSpec(Value):
    """A security group: its rules, all of which allow."""

    group_id: str
    #: Whether answers to what was allowed are allowed too.
    stateful: bool = True
    rules: list[RuleSpec]


class RoutedSubnet(Value):
    """A subnet that a router leads to."""

    network_id: str
    cidr: str


class RouterSpec(Value):
    """What a router lets through on each host: its subnets reach each other."""

    router_id: str
    subnets: list[RoutedSubnet]
    #: Whether its subnets reach the world, by the host's NAT.
    world: bool
    #: Whether they reach each other.
    up: bool = True


class RemoteAddress(Value):
    """An address on a routed network that a port of another host has, and how to get there."""

    network_id: str
    address: str
    mac: str
    #: The other host's underlay address.
    host_ip: str


class ExternalSpec(Value):
    """An external network: where floating IPs are answered for."""

    network_id: str
    #: On the operator's bridge that the host has for this name, with the VLAN tag if there is one;
    #: without a name on the host's uplink.
    physical_network: str | None = None
    vlan: int | None = Field(default=None, ge=1, le=4094)
    cidr: str
    #: The way out for what leaves with a floating IP, on an operator's bridge.
    gateway: str | None


class FloatingSpec(Value):
    """A floating IP of a port of this host: one of the port's IPv4 addresses by another name."""

    floating_id: str
    address: str
    port_id: str
    #: The port's network, and the address there.
    network_id: str
    fixed: str
    external: ExternalSpec


class RoutingSpec(Value):
    """The routers of a host's networks, and the floating IPs of its ports."""

    routers: list[RouterSpec] = Field(default_factory=list)
    remotes: list[RemoteAddress] = Field(default_factory=list)
    floating: list[FloatingSpec] = Field(default_factory=list)


class FirewallSpec(Value):
    """The security groups that a host needs for some ports, and what is routed to and from them, as
    of a moment."""

    #: Rises with every change; what is older than what a host has carried out is not carried out.
    revision: int = Field(default=0, ge=0)
    groups: list[GroupSpec] = Field(default_factory=list)
    #: Group id -> addresses of its members, for the groups that rules name as the other side.
    members: dict[str, list[str]] = Field(default_factory=dict)
    routing: RoutingSpec = Field(default_factory=RoutingSpec)


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


class FirstBoot(Value):
    """What the guest is told at its first boot, by config drive and by the metadata service."""

    hostname: str
    name: str
    availability_zone: str
    #: The flavor's id; empty where an older control plane did not say.
    instance_type: str = ""
    #: key name -> OpenSSH public key
    public_keys: dict[str, str]
    metadata: dict[str, str]
    #: base64, as the API took it; empty when there is none
    user_data: str
    admin_pass: str = Field(repr=False)
    #: JSON of the operator's own for every guest (OpenStack's vendor data); empty: none.
    vendor_data: str = ""
    #: By which the guest can say once that its first boot is done; empty: it is not asked to.
    phone_home_token: str = ""


#: `first_boot`: the guest's own first-boot program (cloud-init, say) said that it is done.
Proof = Literal["running", "address", "agent", "console", "first_boot"]


class BootProof(Value):
    """Which evidence makes the server ACTIVE, and for how long to look for it."""

    proof: Proof
    #: Plain text looked for in the console's output, when proof is `console`. Never a regular
    #: expression: the image's owner chooses it and the guest chooses what it is matched against.
    console_text: str
    limit_s: float = Field(gt=0)


class Hardware(Value):
    """What the image asks of the virtual hardware, by its `hw_` and `os_` properties."""

    disk_bus: Literal["virtio", "scsi", "sata", "ide", "usb"] = "virtio"
    vif_model: Literal["virtio", "e1000", "e1000e", "rtl8139"] = "virtio"
    firmware: Literal["bios", "uefi"] = "bios"
    machine_type: Literal["q35", "pc"] = "q35"
    video_model: Literal["none", "virtio", "vga", "cirrus", "qxl"] = "none"
    #: Whether there is a channel for the guest agent.
    guest_agent: bool = True
    os_type: Literal["linux", "windows"] = "linux"


class Limits(Value):
    """What the flavor allows, by its `quota:` extra specs. 0 is no limit."""

    disk_read_bytes_s: int = Field(default=0, ge=0)
    disk_write_bytes_s: int = Field(default=0, ge=0)
    disk_total_bytes_s: int = Field(default=0, ge=0)
    disk_read_iops: int = Field(default=0, ge=0)
    disk_write_iops: int = Field(default=0, ge=0)
    disk_total_iops: int = Field(default=0, ge=0)
    #: KiB a second, and KiB in one burst.
    vif_inbound_average: int = Field(default=0, ge=0)
    vif_inbound_peak: int = Field(default=0, ge=0)
    vif_inbound_burst: int = Field(default=0, ge=0)
    vif_outbound_average: int = Field(default=0, ge=0)
    vif_outbound_peak: int = Field(default=0, ge=0)
    vif_outbound_burst: int = Field(default=0, ge=0)
    #: Weight against other guests; microseconds of each period that a vCPU may run.
    cpu_shares: int = Field(default=0, ge=0)
    cpu_period_us: int = Field(default=0, ge=0)
    cpu_quota_us: int = Field(default=0, ge=0)


class MachineSpec(Value):
    """The virtual hardware, before it has disks."""

    name: str
    vcpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    root_gib: int = Field(ge=0)
    #: A second, empty disk, and one for swapping; 0: none.
    ephemeral_gib: int = Field(default=0, ge=0)
    swap_mib: int = Field(default=0, ge=0)
    #: `dedicated`: each vCPU has a processor of the host to itself.
    cpu_policy: Literal["shared", "dedicated"] = "shared"
    hardware: Hardware = Field(default_factory=Hardware)
    limits: Limits = Field(default_factory=Limits)
    #: Whether the guest sees its config drive. The drive is made in any case, from the same data as
    #: what the metadata service tells.
    config_drive: bool = True


class BuildSpec(Value):
    """All that a hypervisor needs to build one server. Given by `schedule`."""

    image: ImageSource
    machine: MachineSpec
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    first_boot: FirstBoot
    boot: BootProof
    firewall: FirewallSpec = Field(default_factory=FirewallSpec)


class ShapeSpec(Value):
    """What a server that is there is to be like: all but the image that it was made of. Travels
    with `reshape`."""

    machine: MachineSpec
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    firewall: FirewallSpec
    first_boot: FirstBoot
    boot: BootProof


class Placement(Value):
    """Where a server goes, and all that this host needs for it. Given by `schedule`; the runner
    puts the host into the job, so that the next links are routed there."""

    host: str
    build: BuildSpec


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


class ProofSeen(Value):
    """One piece of evidence: seen at a time, not seen, or not to be known."""

    proof: Proof
    state: Literal["seen", "not_seen", "unknown"]
    #: Seconds from the domain's start to the first look that found it; none unless seen.
    after_s: float | None = None
    #: Unix seconds, by the host's clock, of that look.
    seen_at: float | None = None
    detail: str = ""
    #: `address` only: all of the port's addresses that have been seen.
    addresses: list[str] = Field(default_factory=list)


class PortsRef(Value):
    """The interfaces whose traces on a host are to go. Travels with `teardown`, `unwind` and
    `clear`."""

    ports: list[PortSpec]


class Kept(Value):
    """Which of a server's disks a rebuild leaves as they are. Travels with `clear`."""

    ephemeral: bool = False


class Grace(Value):
    """How long a guest that is asked to stop has for it. Travels with `shut_down`."""

    seconds: float = Field(ge=0)


class Password(Value):
    """A new password for a user of the guest. Travels with `set_password`."""

    user: str
    password: str = Field(repr=False)


class Wiring(Value):
    """A server's interfaces as they are to be, and the one that comes, changes or goes. Travels
    with `plug`, `rewire` and `unplug`."""

    machine: MachineSpec
    #: Those of its interfaces, and of the one that goes.
    networks: list[NetworkSpec]
    #: All that it is to have.
    ports: list[PortSpec]
    #: The one that is meant.
    port: PortSpec
    first_boot: FirstBoot
    firewall: FirewallSpec = Field(default_factory=FirewallSpec)


class Asked(Value):
    """When a guest was asked to stop, or to let go of an interface, in Unix seconds of its host.
    Given by `shut_down` and `unplug`."""

    first_at: float
    last_at: float


class BootReport(Value):
    """What the guest has proved. Given by `poll_boot`."""

    proofs: list[ProofSeen]


# --- reports to the control plane ------------------------------------------------------------


class Failure(Value):
    """Why a stage failed: code and class, the owner's text, the console's last lines."""

    code: str
    fault: Literal["request", "host", "transient", "bug"]
    public: str
    console: str = ""


class StageReport(Message):
    """What a hypervisor says of a stage: began, finished or failed. Times are Unix seconds."""

    job: Job
    stage: str
    #: `progress` carries an output that is not final: proofs of boot seen so far.
    event: Literal["began", "progress", "finished", "failed"]
    #: The worker's own name, so that one can prove who ran what.
    worker: str
    #: Which life of that worker: new at each start of its process.
    process: str = ""
    started_at: float
    at: float
    output: dict[str, Any] | None = None
    failure: Failure | None = None


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


# --- the host's image cache -----------------------------------------------------------------


StoredFormat = Literal["qcow2", "raw", "iso"]


class CachedImage(Value):
    """An image in a hypervisor's cache, on its way there, or why it is not there."""

    #: The id by which it was fetched last; empty when that is not known any more.
    image_id: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    #: As it lies there, which may not be as it was fetched.
    disk_format: StoredFormat
    state: Literal["downloading", "ready", "failed"]
    #: Why it failed.
    reason: str = ""
    size_bytes: int = Field(ge=0)
    #: What it takes up on the host; holes do not.
    allocated_bytes: int = Field(ge=0)
    #: Unix seconds of the host's clock.
    used_at: float
    #: A disk lies over it, or a build is at it.
    in_use: bool = False


class CacheReport(Message):
    """All that is in a hypervisor's image cache. `taken_at` is Unix seconds of its clock."""

    host: str
    taken_at: float
    images: list[CachedImage]


class WarmCache(Message):
    """Images to have in a hypervisor's cache before anybody builds with them. Void after `deadline`
    (Unix seconds), when the tickets have expired."""

    host: str
    deadline: float
    images: list[ImageSource]


# --- consoles -------------------------------------------------------------------------------


class ReadConsole(Message):
    """Tell what a server's serial console says. Void after `deadline` (Unix seconds): nobody waits
    for it any more."""

    host: str
    server_id: str
    #: Which question this is.
    question: str
    deadline: float


class Console(Message):
    """The end of what a server's guests have written to its serial console."""

    question: str
    deadline: float
    text: str = Field(repr=False)


ConsoleKind = Literal["vnc", "serial"]


class OpenConsole(Message):
    """Let whoever brings a certain word to the host's gate reach a server's console, once, until
    `until`. Void after `deadline`: nobody waits for the answer any more. Both are Unix seconds."""

    host: str
    server_id: str
    kind: ConsoleKind
    #: Which question this is.
    question: str
    deadline: float
    #: SHA-256 of the word, which itself never travels to the host before it is used.
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    until: float


class ConsoleWay(Message):
    """Where a host's gate lets somebody in to a server's console, or why it does not."""

    question: str
    deadline: float
    address: str = ""
    port: int = Field(default=0, ge=0, le=65535)
    #: SHA-256 of the gate's certificate, by which it is known.
    certificate: str = ""
    #: The error's code word, and what its owner may know of it; empty if there is a way.
    code: str = ""
    refused: str = ""


# --- questions to a host -----------------------------------------------------------------------


class Question(Message):
    """What a host is asked while somebody waits. Void after `deadline` (Unix seconds)."""

    host: str
    #: Which question this is.
    question: str
    deadline: float


class DescribeDomain(Question):
    """Tell how the domain of a server would be described that is not there: nothing is made."""

    job: Job
    outline: Outline
    #: The image's: one to install from is a disc of the server's.
    image_format: StoredFormat


class Diagnose(Question):
    """Tell what a server's machine has used and moved since it was started."""

    server_id: str


class DiskUse(Value):
    """What went to and from a disk."""

    #: As the guest finds it, by its bus: `vda`.
    device: str
    read_requests: int
    read_bytes: int
    write_requests: int
    write_bytes: int
    #: -1: not told.
    errors: int


class Traffic(Value):
    """What went through an interface in one direction."""

    octets: int
    packets: int
    errors: int
    drop: int


class InterfaceUse(Value):
    """What went through an interface, as the guest sees it: `rx` is what it was sent."""

    device: str
    mac: str
    rx: Traffic
    tx: Traffic


class Diagnosis(Value):
    """What a server's machine has used and moved since it was started."""

    driver: Literal["libvirt", "fake"]
    domain_type: str
    state: Literal["running", "paused"]
    #: Nanoseconds that each vCPU has run.
    cpu_times_ns: list[int]
    memory_kib: int
    #: What the balloon tells, by libvirt's names; mostly KiB.
    memory: dict[str, int]
    disks: list[DiskUse]
    interfaces: list[InterfaceUse]


class Answer(Message):
    """What a host says to a question, or why it cannot."""

    question: str
    deadline: float
    text: str = ""
    #: The error's code word and public text; empty if there is an answer.
    code: str = ""
    refused: str = ""


# --- what is on a hypervisor -----------------------------------------------------------------

DomainState = Literal["running", "paused", "shutoff", "crashed"]
ThingKind = Literal[
    "domain",
    "disk",
    #: A server's ephemeral disk, its swap disk, or the disc that it is installed from.
    "extra_disk",
    "config_drive",
    #: The variables of a guest's UEFI firmware.
    "nvram",
    "console_log",
    #: What the metadata service tells a guest, and what the guest said.
    "first_boot",
    "dhcp_entry",
    "filter",
    #: What a port's security groups allow.
    "firewall",
    #: A copy of a disk that is to become an image.
    "snapshot",
]


class Thing(Value):
    """One thing on a hypervisor that carries our mark. `kind` and `name` name it on its host."""

    kind: ThingKind
    name: str
    #: The server whose id is in its name or mark; none where only a port or a MAC is.
    server_id: str | None = None
    #: The port whose id is in the name of its filter or of its firewall rules.
    port_id: str | None = None
    #: The MAC that a DHCP entry is for, in lower case.
    mac: str | None = None
    #: Domains only.
    state: DomainState | None = None
    #: Put out of action, but still there to be looked at.
    quarantined: bool = False


class Survey(Message):
    """Everything with our mark that a hypervisor found on itself at one look."""

    host: str
    process: str
    #: Unix seconds of the host's clock, before the look began.
    taken_at: float
    things: list[Thing]


class Tidy(Message):
    """What nobody owns on a hypervisor: to be quarantined, or removed for good. Refused after
    `deadline` (Unix seconds), since things may have found an owner by then."""

    host: str
    deadline: float
    quarantine: list[Thing]
    discard: list[Thing]


class DomainChange(Message):
    """A domain of ours began, stopped or vanished by itself. `at` is Unix seconds of the host."""

    host: str
    server_id: str
    #: None when it is not there any more.
    state: DomainState | None
    at: float
