"""Settings: read once at start from the environment and one TOML file, typed, frozen.

The file is named by BYRE_CONFIG; its top-level keys are common to all processes, its tables
[control] and [compute] belong to one kind. The environment wins: BYRE_<KEY>. A value that does
not fit, and a key that nobody knows, end the process with one line that names the key.
"""

import json
import os
import socket
import sys
import tomllib
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from config.cpu_sets import parse_cpu_set
from config.image_place import S3Place, parse_image_place

S = TypeVar("S", bound="CommonSettings")


def _pairs(text: str) -> dict[str, str]:
    """Read `name:value,name:value`. Raises ValueError."""
    pairs = [pair.partition(":") for pair in text.split(",") if pair.strip()]
    if not all(name.strip() and value.strip() for name, _, value in pairs):
        raise ValueError("must be name:bridge, more of them after commas")
    return {name.strip(): value.strip() for name, _, value in pairs}


#: EX_CONFIG of sysexits.h: a supervisor can tell a wrong setting from a crash.
EXIT_CONFIG = 78

#: It travels with every build, and lies on every config drive.
MAX_VENDOR_DATA_BYTES = 64 * 1024

#: `2-7,^4,10` in a setting.
CpuSet = Annotated[
    frozenset[int],
    BeforeValidator(lambda given: parse_cpu_set(given) if isinstance(given, str) else given),
]
HostIp = Annotated[str, AfterValidator(lambda given: str(ip_address(given)))]
PhysicalNetworks = Annotated[
    dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")],
        # An interface's name: at most 15 characters of Linux's.
        Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$")],
    ],
    BeforeValidator(lambda given: _pairs(given) if isinstance(given, str) else given),
]
#: A directory or `s3://BUCKET/PREFIX?...` in a setting.
ImagePlace = Annotated[
    Path | S3Place,
    BeforeValidator(lambda given: parse_image_place(given) if isinstance(given, str) else given),
]
#: `pcid,-vmx` in a setting: features that the guest's processor is to have, or not to have.
CpuFeatures = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[+-]?[A-Za-z0-9][A-Za-z0-9_.-]*$")], ...],
    BeforeValidator(
        lambda given: (
            tuple(filter(None, map(str.strip, given.split(","))))
            if isinstance(given, str)
            else given
        )
    ),
]

#: Environment names of ours that are no settings of a process.
_OTHER_NAMES = ("BYRE_CONFIG", "BYRE_BOOTSTRAP_", "BYRE_GUEST_", "BYRE_TEST_", "BYRE_STACK_")


class SettingsError(Exception):
    """A setting is missing, wrong or unknown; the text is one line and names it."""


class CommonSettings(BaseModel):
    """What every process reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    #: Any URL that Celery takes; secrets in it are masked when shown.
    broker_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    #: Put before each Redis key, so that applications can share one server without meeting.
    broker_key_prefix: str = "byre:"
    #: Seconds after which Redis hands an unacknowledged message out again. Longer than any stage
    #: may take (900 s), or a slow stage would be run twice side by side.
    broker_visibility_timeout_s: int = Field(default=1800, ge=1000)
    #: A worker that takes nothing for so long, though messages wait and it has a slot free, ends
    #: itself, so that its supervisor starts it anew. Longer than a control stage may take (40 s).
    deaf_after_s: float = Field(default=60.0, gt=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    #: `console` is for a person at a terminal, `json` for a log collector.
    log_format: Literal["console", "json"] = "console"


class ControlSettings(CommonSettings):
    """What the API, the control worker, beat and the operator's command read."""

    database_url: SecretStr = SecretStr("sqlite:///.byre/byre.db")
    #: Connections that each process keeps open to the database.
    database_pool_size: int = Field(default=8, ge=1)
    #: Signs the tickets by which hypervisors fetch images. No default: a known secret is none.
    secret_key: SecretStr = Field(min_length=32)
    api_bind: str = "127.0.0.1:8774"
    #: Threads of the API process. More do not help: Python runs one at a time, and SQLite
    #: has one writer.
    api_threads: int = Field(default=8, ge=1)
    api_workers: int = Field(default=1, ge=1)
    #: Proxies between clients and the API whose X-Forwarded-For, -Proto, -Host and -Prefix are
    #: believed. With none, whoever sends such a header is not believed.
    api_trusted_proxies: int = Field(default=0, ge=0)
    #: Where hypervisors reach the API; links and the catalog are made from the request itself.
    internal_api_url: str = "http://127.0.0.1:8774"
    region: str = "RegionOne"
    availability_zone: str = "nova"
    #: Where images' bytes lie: a directory that all API processes share, or a bucket that speaks
    #: S3, `s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=NAME`.
    image_store: ImagePlace = Path(".byre/images")
    #: The keys for the bucket, if boto3 shall not look for them where it does (environment, files,
    #: the machine's role).
    image_store_access_key: SecretStr | None = None
    image_store_secret_key: SecretStr | None = None
    #: Where uploads to a bucket arrive and are looked into: a directory of this machine.
    image_spool_dir: Path = Path(".byre/spool")
    image_max_gib: int = Field(default=64, ge=1)
    token_lifetime_s: int = Field(default=6 * 3600, ge=60)
    #: Wrong passwords within the window after which no other is looked at: for one user from one
    #: address so many; for one user from everywhere, and from one address for all users, ten times
    #: as many, for many people can be behind one address, and anybody can name another's user.
    login_failures: int = Field(default=10, ge=1)
    login_window_s: float = Field(default=300.0, gt=0)
    #: How many times over a host's cores, memory and disk may be promised. Nova's defaults for
    #: cores and disk; memory is not overcommitted, since a host that swaps fails all its guests.
    cpu_overcommit: float = Field(default=4.0, gt=0)
    memory_overcommit: float = Field(default=1.0, gt=0)
    disk_overcommit: float = Field(default=1.0, gt=0)
    #: Memory kept for the host itself.
    host_reserved_memory_mib: int = Field(default=512, ge=0)
    #: A host that has not been heard of for so long gets no new server. Three missed beats.
    host_silence_limit_s: float = Field(default=20.0, gt=0)
    #: How long a guest may take to prove that it is up, unless its image says otherwise.
    boot_limit_s: float = Field(default=600.0, gt=0)
    #: How long a request to make servers is known by its Idempotency-Key. A day, as clients expect.
    idempotency_key_life_s: float = Field(default=86_400.0, gt=0)
    #: A file with JSON that every guest is told as OpenStack's vendor data. Read at the start.
    vendor_data_file: Path | None = None
    #: How long a run may take in all, queues included.
    run_limit_s: float = Field(default=3600.0, gt=0)
    #: How long an action on a server (start, stop, ...) may take in all, queues included. One that
    #: comes later is not what its owner wants any more.
    action_limit_s: float = Field(default=900.0, gt=0)
    #: How long a guest that is to stop or to reboot has for it before its power is cut. Nova's
    #: default (shutdown_timeout).
    shutdown_grace_s: float = Field(default=60.0, ge=0, le=600)
    #: How long a resize waits to be confirmed or reverted before it is confirmed by itself; 0: for
    #: ever. Nova's default (resize_confirm_window).
    resize_confirm_window_s: float = Field(default=0.0, ge=0)
    #: How long a shelved server stays on its host, from where it is back at once. 0: it leaves as
    #: soon as its disk is an image, as Nova's do by default; -1: only when somebody says so.
    shelved_offload_s: float = Field(default=0.0, ge=-1)
    #: Limits of a new project; -1 is none. Nova's defaults for servers and cores.
    quota_servers: int = Field(default=10, ge=-1)
    quota_vcpus: int = Field(default=20, ge=-1)
    quota_memory_mib: int = Field(default=51200, ge=-1)
    quota_networks: int = Field(default=100, ge=-1)
    quota_subnets: int = Field(default=100, ge=-1)
    quota_ports: int = Field(default=500, ge=-1)
    quota_routers: int = Field(default=10, ge=-1)
    quota_floating_ips: int = Field(default=50, ge=-1)
    #: Of each user in a project, and of each server.
    quota_key_pairs: int = Field(default=100, ge=-1)
    quota_metadata_items: int = Field(default=128, ge=-1)
    quota_server_groups: int = Field(default=10, ge=-1)
    quota_server_group_members: int = Field(default=10, ge=-1)
    #: Files of each server's first boot; the size of each, and of its path. Nova's defaults.
    quota_injected_files: int = Field(default=5, ge=-1)
    quota_injected_file_content_bytes: int = Field(default=10240, ge=-1)
    quota_injected_file_path_bytes: int = Field(default=255, ge=-1)
    quota_security_groups: int = Field(default=10, ge=-1)
    quota_security_group_rules: int = Field(default=100, ge=-1)
    #: How long an address that a port gave back is not given to another one: leases and ARP
    #: entries of its last holder are gone by then.
    address_rest_s: float = Field(default=60.0, ge=0)
    #: MTU of networks that span hosts, unless they ask for less: their tunnel takes 50 bytes.
    network_mtu: int = Field(default=1450, ge=1280, le=9216)
    #: Numbers of the tunnels by which networks span hosts (VXLAN).
    vni_first: int = Field(default=4096, ge=1, le=16_777_215)
    vni_last: int = Field(default=16_777_215, ge=1, le=16_777_215)
    #: Prefixes that no network may overlap, beside those that mean something to every host: the
    #: hosts' own network (underlay), say. Separated by commas.
    reserved_prefixes: str = ""
    #: Of which a project that has no network, and lets compute choose, gets a /24. Empty: none is
    #: made for it.
    auto_network_prefix: Annotated[
        str, AfterValidator(lambda given: given and str(IPv4Network(given)))
    ] = "10.208.0.0/12"
    #: Processes of the control worker: they can be killed when a stage hangs, threads cannot.
    control_processes: int = Field(default=2, ge=1)
    #: Where the console proxy listens for browsers, HOST:PORT.
    console_bind: str = "127.0.0.1:6080"
    #: How browsers reach it, which is what URLs of consoles begin with; `https://` if something in
    #: front of it serves TLS. Empty: `http://` and `console_bind`.
    console_url: str = Field(default="", pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$")
    #: Other sites whose pages may open consoles (a dashboard's), as `https://HOST[:PORT]`,
    #: separated by commas. Pages of the proxy itself always may.
    console_origins: str = ""
    #: Proxies in front of it whose X-Forwarded-For is believed, to tell who guesses at tokens.
    console_trusted_proxies: int = Field(default=0, ge=0)
    #: How long a console's URL is good, which is for one visit. Nova's default.
    console_token_ttl_s: float = Field(default=600.0, gt=0)
    #: A console on which nothing has moved for so long is closed; 0: never.
    console_idle_limit_s: float = Field(default=3600.0, ge=0)
    #: Consoles open at once through one proxy.
    console_connections: int = Field(default=256, ge=1)
    #: Files of the pages that browsers are given: noVNC and xterm.js (deploy/console-pages).
    console_pages: Path = Path(sys.prefix) / "share" / "byre-console"
    #: How often beat looks for runs that are overdue, were never sent, or that nobody carries on.
    sweep_interval_s: float = Field(default=5.0, gt=0)
    #: How long a sign that a stage is at work holds: four heartbeats of a hypervisor.
    stage_lease_s: float = Field(default=20.0, gt=0)
    #: How long a message may be on its way to a worker before anybody asks where it is.
    handover_s: float = Field(default=3.0, gt=0)
    #: A stage that was gone on with so often on one host, and not once ended, kills its worker:
    #: the host is held to be at fault.
    max_resumes: int = Field(default=5, ge=1)
    #: Hosts that a server is tried on before it ends in ERROR.
    max_hosts: int = Field(default=3, ge=1)
    #: A host that was silent, or deaf, for so long is given up: what was being built there is
    #: built elsewhere, and what is left there is owed until it is back.
    host_lost_after_s: float = Field(default=60.0, gt=0)
    #: How often a canary goes through each host's queue, and when it is missed.
    canary_interval_s: float = Field(default=30.0, gt=0)
    canary_limit_s: float = Field(default=90.0, gt=0)
    #: How long something without an owner is only reported, and how long it then stays in
    #: quarantine, before it is removed from its host.
    drift_grace_s: float = Field(default=300.0, ge=0)
    drift_quarantine_s: float = Field(default=86_400.0, ge=0)

    _vendor_data: str = PrivateAttr(default="")

    @property
    def vendor_data(self) -> str:
        """Return what was in the vendor data's file at the start: JSON, or nothing."""
        return self._vendor_data

    @model_validator(mode="after")
    def _has_both_keys(self) -> Self:
        if (self.image_store_access_key is None) != (self.image_store_secret_key is None):
            raise ValueError("image_store_access_key and image_store_secret_key go together")
        return self

    @model_validator(mode="after")
    def _read_vendor_data(self) -> Self:
        if self.vendor_data_file is not None:
            self._vendor_data = _vendor_data(self.vendor_data_file)
        return self


class ComputeSettings(CommonSettings):
    """What a hypervisor's worker reads. There is no database here, on purpose."""

    host: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    #: The host's own address by which the other hosts reach it: tunnels of networks that span hosts
    #: end there. With one on loopback, networks end on this host. Operators see it.
    host_ip: HostIp = "127.0.0.1"
    #: Bridges of this host by which provider networks reach the world: `physnet1:br-ext`, more
    #: after commas.
    physical_networks: PhysicalNetworks = Field(default_factory=dict)
    driver: Literal["libvirt", "fake"] = "libvirt"
    #: Stages that run at once: libvirt calls release the interpreter, so threads serve.
    compute_threads: int = Field(default=4, ge=1)
    heartbeat_interval_s: float = Field(default=5.0, gt=0)
    #: How often the host looks through itself for what carries our mark.
    survey_interval_s: float = Field(default=30.0, gt=0)
    libvirt_uri: str = "qemu:///system"
    #: Where disks and cached images lie, as a libvirt pool of type dir.
    storage_dir: Path = Path("/var/lib/byre/storage")
    storage_pool: str = "byre"
    #: Marks of finished and torn-down servers: the host's own memory, kept over restarts.
    state_dir: Path = Path("/var/lib/byre/state")
    console_dir: Path = Path("/var/log/byre/console")
    #: Where the worker lets the console proxy in to its guests' consoles, HOST:PORT. Empty: the
    #: host's own address (`host_ip`), and a port that is free. The control plane is told.
    console_gate: str = Field(default="", pattern=r"^([^\s:]+:\d{1,5}|\[[0-9a-f:]+\]:\d{1,5})?$")
    #: `auto` uses KVM only after a probe guest has run under it.
    acceleration: Literal["auto", "kvm", "qemu"] = "auto"
    #: Linux kernel for the probe guest; without one the newest under /boot is taken.
    kvm_probe_kernel: Path | None = None
    #: The processor of KVM guests: `host-model` (the host's, as a named model with features, which
    #: only a host of the same kind or newer can take over), `host-passthrough` (the host's own, for
    #: speed and nested guests, never to leave hosts of that exact kind), `maximum`, or a model's
    #: name (`virsh cpu-models x86_64`): the oldest of a mixed fleet. Emulated guests have all that
    #: the emulator can do.
    cpu_model: str = Field(default="host-model", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    cpu_features: CpuFeatures = ()
    #: Processors kept for servers whose flavor says `hw:cpu_policy=dedicated`, one for each of
    #: their vCPUs. None: such servers go elsewhere.
    cpu_dedicated_set: CpuSet = frozenset()
    #: Where all other servers run, and the emulators' own threads. Unset: on all the rest.
    cpu_shared_set: CpuSet = frozenset()
    #: For fetching one image, or waiting while another build fetches it. Below the limit of the
    #: stage (900 s), so that the failure is told by the one who saw it.
    image_timeout_s: float = Field(default=800.0, gt=0)
    #: How cached images lie on the host. `raw` is faster to read where images are compressed, and
    #: larger; see docs/image-cache.md.
    image_cache_format: Literal["as_is", "raw", "qcow2"] = "as_is"
    #: An image that nobody has used for so long goes. Nova's default.
    image_cache_max_age_s: float = Field(default=86_400.0, gt=0)
    #: All cached images together; what is unused goes, the least lately used first. 0: no limit.
    image_cache_max_gib: int = Field(default=0, ge=0)
    #: Room on the file system that unused images make.
    image_cache_floor_gib: int = Field(default=4, ge=0)
    #: For so long an image stays whatever happens, since a build may be about to use it. Longer
    #: than the stage that builds.
    image_cache_hold_s: float = Field(default=900.0, gt=0)
    #: How long a broken download is kept to go on with.
    image_partial_max_age_s: float = Field(default=21_600.0, gt=0)
    #: How often unused images are looked for.
    image_cache_interval_s: float = Field(default=600.0, gt=0)
    #: Whether guests are answered at 169.254.169.254, an address that the worker puts on `lo`.
    #: `auto`: unless that address is in use already, as on a host that is a cloud's guest itself.
    metadata_service: Literal["auto", "on", "off"] = "auto"
    #: Fake driver only: what it claims to have, and how long its guests boot.
    fake_vcpus: int = Field(default=64, ge=1)
    fake_memory_mib: int = Field(default=262_144, ge=1)
    fake_disk_gib: int = Field(default=4096, ge=1)
    fake_boot_s: float = Field(default=0.0, ge=0)
    fake_dedicated_vcpus: int = Field(default=0, ge=0)

    @field_validator("cpu_shared_set")
    @classmethod
    def _is_apart(cls, shared: frozenset[int], info: ValidationInfo) -> frozenset[int]:
        both = shared & info.data.get("cpu_dedicated_set", frozenset())
        if both:
            raise ValueError(f"processors {sorted(both)} are in cpu_dedicated_set too")
        return shared


def _vendor_data(path: Path) -> str:
    """Return the file's text. Raises ValueError, which names the setting."""
    try:
        text = path.read_text()
        json.loads(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"vendor_data_file: {path}: {error}") from error
    if len(text.encode()) > MAX_VENDOR_DATA_BYTES:
        raise ValueError(f"vendor_data_file: {path}: more than {MAX_VENDOR_DATA_BYTES} bytes")
    return text


def load_common(environ: dict[str, str] | None = None) -> CommonSettings:
    """Return what a process needs that only watches the broker. Raises SettingsError."""
    return _load(CommonSettings, "common", environ)


def load_control(environ: dict[str, str] | None = None) -> ControlSettings:
    """Return the control plane's settings. Raises SettingsError."""
    return _load(ControlSettings, "control", environ)


def load_compute(environ: dict[str, str] | None = None) -> ComputeSettings:
    """Return a hypervisor's settings. Raises SettingsError, also if a database URL is set:
    a stolen hypervisor must not hold one (design, rule 2)."""
    names = os.environ if environ is None else environ
    if "BYRE_DATABASE_URL" in names:
        raise SettingsError("BYRE_DATABASE_URL: a hypervisor must not know the database; unset it")
    return _load(ComputeSettings, "compute", environ)


def end_with(error: SettingsError) -> NoReturn:
    """End the process because of a wrong setting, with one readable line."""
    sys.stderr.write(f"byre: wrong setting: {error}\n")
    raise SystemExit(EXIT_CONFIG)


def _load(kind: type[S], table: str, environ: dict[str, str] | None) -> S:
    names = dict(os.environ if environ is None else environ)
    _refuse_unknown_names(names)
    values = _read_file(names.get("BYRE_CONFIG"), table)
    for field in kind.model_fields:
        if (name := f"BYRE_{field.upper()}") in names:
            values[field] = names[name]
    try:
        return kind(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def _refuse_unknown_names(names: dict[str, str]) -> None:
    known = {
        f"BYRE_{field.upper()}"
        for kind in (ControlSettings, ComputeSettings)
        for field in kind.model_fields
    }
    for name in sorted(names):
        if name.startswith("BYRE_") and name not in known and not name.startswith(_OTHER_NAMES):
            raise SettingsError(f"{name}: no setting has this name")


def _read_file(path: str | None, table: str) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with Path(path).open("rb") as file:
            document = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"BYRE_CONFIG: {path}: {error}") from error
    common = {key: value for key, value in document.items() if not isinstance(value, dict)}
    own = document.get(table, {})
    for name in document.keys() - common.keys() - {"control", "compute"}:
        raise SettingsError(f"{path}: no table has the name [{name}]")
    return {**common, **own}


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if not key:
        # It is of several settings, or of what one of them names: the message says which.
        return str(first["msg"])
    return f"{key} (BYRE_{key.upper()}): {first['msg']}"
