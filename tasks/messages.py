"""What crosses the broker: frozen values with units, and the envelope that carries them.

Control plane and hypervisors share these types and nothing else. Every value is JSON; what does
not fit a type is refused with the field's name (`MalformedMessage`), never half understood.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.errors import MalformedMessage

#: Raised when a field changes its meaning. A worker refuses a version that it does not know.
VERSION: Literal[1] = 1


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


# --- the run ---------------------------------------------------------------------------------


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


class Envelope(Value):
    """One message of a chain: the job and what earlier stages gave, by output name."""

    version: Literal[1] = VERSION
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


class StageReport(Value):
    """What a hypervisor says of a stage: began, finished or failed. Times are Unix seconds."""

    version: Literal[1] = VERSION
    job: Job
    stage: str
    #: `progress` carries an output that is not final: proofs of boot seen so far.
    event: Literal["began", "progress", "finished", "failed"]
    #: The worker's own name, so that one can prove who ran what.
    worker: str
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


class Heartbeat(Value):
    """A hypervisor's sign of life, every few seconds. `sent_at` is Unix seconds of its clock."""

    version: Literal[1] = VERSION
    host: str
    host_ip: str
    worker: str
    sent_at: float
    inventory: Inventory
