"""What crosses the broker: frozen values with units, and the envelope that carries them.

Control plane and hypervisors share these types and nothing else. Every value is JSON; what does
not fit a type is refused with the field's name (`MalformedMessage`), never half understood.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import MalformedMessage, NewerMessage

#: Raised when messages change. A process understands this one and the one before, so that a fleet
#: can be upgraded host by host; a newer one it puts back for somebody who does (`NewerMessage`).
VERSION = 2
OLDEST_VERSION = 1


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

    Version 1 lacked `Job.undoes`, the processes, and what a heartbeat says of the work in hand: all
    have defaults, which is all that understanding it takes.
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
    disk_format: Literal["qcow2", "raw"]
    #: A URL with a signed ticket, good until the run's deadline.
    url: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=1)


class NetworkSpec(Value):
    """A network as its hosts carry it out: NAT behind a bridge, with DHCP for IPv4."""

    network_id: str
    name: str
    cidr: str
    gateway: str
    dns: list[str]
    mtu: int = Field(ge=576, le=9216)


class PortSpec(Value):
    """One interface: the control plane chose the MAC and the address before anything was made."""

    port_id: str
    network_id: str
    mac: str
    address: str
    prefix_length: int


class FirstBoot(Value):
    """What the guest is told at its first boot, by config drive."""

    hostname: str
    name: str
    availability_zone: str
    #: key name -> OpenSSH public key
    public_keys: dict[str, str]
    metadata: dict[str, str]
    #: base64, as the API took it; empty when there is none
    user_data: str
    admin_pass: str


class BootProof(Value):
    """Which evidence makes the server ACTIVE, and for how long to look for it."""

    proof: Literal["running", "address", "agent", "console"]
    #: Plain text looked for in the console's output, when proof is `console`. Never a regular
    #: expression: the image's owner chooses it and the guest chooses what it is matched against.
    console_text: str
    limit_s: float = Field(gt=0)


class MachineSpec(Value):
    """The virtual hardware, before it has disks."""

    name: str
    vcpus: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    root_gib: int = Field(ge=0)


class BuildSpec(Value):
    """All that a hypervisor needs to build one server. Given by `schedule`."""

    image: ImageSource
    machine: MachineSpec
    networks: list[NetworkSpec]
    ports: list[PortSpec]
    first_boot: FirstBoot
    boot: BootProof


class Placement(Value):
    """Where a server goes, and all that this host needs for it. Given by `schedule`; the runner
    puts the host into the job, so that the next links are routed there."""

    host: str
    build: BuildSpec


class DiskRef(Value):
    """A disk that is there: what it is for, where, in which format."""

    role: Literal["root", "config"]
    path: str
    disk_format: Literal["qcow2", "raw"]


class DomainSpec(Value):
    """A domain to define: hardware, disks and interfaces that are there. From `build_resources`."""

    machine: MachineSpec
    disks: list[DiskRef]
    ports: list[PortSpec]
    boot: BootProof


class DomainRef(Value):
    """A domain that is there, and what to ask it. Given by `define_domain` and by `launch`."""

    domain_id: str
    ports: list[PortSpec]
    boot: BootProof
    #: Unix time in seconds at which it was started; unset until `launch`.
    started_at: float | None = None


class ProofSeen(Value):
    """One piece of evidence: seen at a time, not seen, or not to be known."""

    proof: Literal["running", "address", "agent", "console"]
    state: Literal["seen", "not_seen", "unknown"]
    #: Seconds from the domain's start to the first look that found it; none unless seen.
    after_s: float | None = None
    detail: str = ""


class PortsRef(Value):
    """The interfaces whose traces on a host are to go. Travels with `teardown` and `unwind`."""

    ports: list[PortSpec]


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


# --- what is on a hypervisor -----------------------------------------------------------------

DomainState = Literal["running", "paused", "shutoff", "crashed"]
ThingKind = Literal["domain", "disk", "config_drive", "console_log", "dhcp_entry", "filter"]


class Thing(Value):
    """One thing on a hypervisor that carries our mark. `kind` and `name` name it on its host."""

    kind: ThingKind
    name: str
    #: The server whose id is in its name or mark; none where only a port or a MAC is.
    server_id: str | None = None
    #: The port whose id is in the filter's name.
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
