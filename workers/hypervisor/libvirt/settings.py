"""What the libvirt driver must be told. The worker's settings fill it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from workers.hypervisor.image_cache import CacheRules


@dataclass(frozen=True)
class LibvirtSettings:
    """Where this host's libvirt is, and where Byre's things on the host go."""

    #: A local libvirt: files are written directly, and leases given back on the host's own network.
    uri: str
    #: Images, disks and config drives; the directory of the libvirt storage pool.
    storage_dir: Path
    #: Locks and what was proved of this host.
    state_dir: Path
    #: Serial consoles' logs. virtlogd writes and bounds them.
    console_dir: Path
    pool_name: str = "byre"
    #: The host's address on the network between hosts; loopback: its networks end on it.
    underlay_address: str = "127.0.0.1"
    #: Physical network -> the bridge by which this host has it.
    physical_networks: Mapping[str, str] = field(default_factory=dict)
    #: `auto` proves once a boot that KVM runs a guest, and emulates if it does not.
    acceleration: Literal["auto", "kvm", "qemu"] = "auto"
    #: The kernel of the probe guest; unset: the newest readable /boot/vmlinuz-*.
    kvm_probe_kernel: Path | None = None
    #: A kernel under working KVM is through in 2 s; a slow host needs some more.
    kvm_probe_limit_s: float = 20.0
    #: The processor of KVM guests: a mode of libvirt's, or a model's name; and features that it is
    #: to have (`pcid`, `+pcid`) or not to have (`-vmx`).
    cpu_model: str = "host-model"
    cpu_features: tuple[str, ...] = ()
    #: Processors for guests that have theirs to themselves, and for all others (none: the rest).
    cpu_dedicated_set: frozenset[int] = frozenset()
    cpu_shared_set: frozenset[int] = frozenset()
    #: For one image, from the first byte to the last, and for waiting on another's download of it.
    image_timeout_s: float = 1800.0
    image_cache: CacheRules = field(default_factory=CacheRules)
    #: The authority that signed the API's certificate; unset: the usual ones.
    image_ca_file: Path | None = None
    #: How long a verb waits for a libvirtd that is down before it says HostGone.
    patience_s: float = 5.0
