"""The hypervisor as the stages see it: few verbs, each safe to repeat.

Three implementations of one contract (tests/drivers runs the same suite on each): `fake` in
memory, `libvirt` for real. A verb that makes says "ensure": finding its own thing already there is
success. A verb that removes treats absence as success. Names on the host are derived from ids
that the control plane chose, so a repeated message finds what the first one made.

Every verb may raise HostGone (the daemon does not answer) and HostError; others are named.
"""

from collections.abc import Callable, Collection
from typing import Protocol

from pydantic import Field

from tasks.messages import (
    BuildSpec,
    CachedImage,
    CarriedDisk,
    CarriedRole,
    ConsoleKind,
    Diagnosis,
    DiskRef,
    DomainSpec,
    DomainState,
    FirewallSpec,
    FirstBoot,
    ImageSource,
    ImageUpload,
    Inventory,
    Job,
    MachineSpec,
    NetworkSpec,
    Outline,
    Password,
    PortSpec,
    StoredFormat,
    Thing,
    Value,
)

#: Told of a server whose domain began, stopped or vanished (None). Called in the driver's thread.
Watcher = Callable[[str, DomainState | None], None]

#: Nova's words for a guest without one.
NO_AGENT = "QEMU guest agent is not enabled"


class Domain(Value):
    """A domain of ours as it is on the host."""

    server_id: str
    #: Run and attempt from the domain's metadata: who made it.
    run_id: str
    attempt: int
    state: DomainState


class Observation(Value):
    """What can be seen of a guest from outside, at one look."""

    #: None when the domain is not there at all.
    state: DomainState | None
    #: Those of the asked addresses found in a lease or among the host's neighbours.
    addresses: list[str] = Field(default_factory=list)
    #: None when the guest has no agent channel open, so nothing can be said.
    agent: bool | None
    #: The last of the serial console's output, at most 64 KiB, decoded with replacement.
    console: str = Field(repr=False)
    #: Whether the guest said that its first boot is done. None when it was not asked to say so.
    first_boot: bool | None = None
    #: What it said of it: `ok` or `failed`, which is its own word and proves nothing.
    first_boot_result: str = ""


class Hypervisor(Protocol):
    """One hypervisor host."""

    def inventory(self) -> Inventory:
        """Return what the host has to offer now."""
        ...

    # --- disks -------------------------------------------------------------------------------

    def ensure_image(self, image: ImageSource) -> None:
        """Have the image in the host's cache, whole and verified; downloads it at most once
        however many builds ask at the same time. Raises DownloadFailed, ImageCorrupt, HostFull,
        HostBusy, and ImageUnusable if it refers to another file or is not of its format.
        """
        ...

    def cached_images(self) -> list[CachedImage]:
        """Return what is in the host's image cache, is on its way there, or failed lately."""
        ...

    def prune_images(self) -> list[str]:
        """Remove cached images that are too old, or in the way of what is to come; return their
        digests. One that any disk on the host lies over stays, and so does one that a build may be
        about to use."""
        ...

    def ensure_root_disk(self, server_id: str, image: ImageSource, size_gib: int) -> DiskRef:
        """Have a copy-on-write disk over the cached image, `size_gib` large (0: the image's own
        size); an empty one if the image is a disc to install from. One that is there is returned
        as it is. Raises HostFull, and ImageUnusable for an empty disk without a size, or one
        that is smaller than the image's."""
        ...

    def ensure_extra_disks(
        self, server_id: str, image: ImageSource, machine: MachineSpec
    ) -> list[DiskRef]:
        """Have what the machine has beside its root disk and its config drive: an ephemeral disk
        (with a file system labelled `ephemeral0`, unless Windows is to be on it), a swap disk, and
        the cached image as a disc to install from, if it is one. What is there is returned as it
        is. Raises HostFull, and HostError if the disc's image is not in the cache."""
        ...

    def ensure_config_drive(
        self,
        server_id: str,
        project_id: str,
        first_boot: FirstBoot,
        networks: list[NetworkSpec],
        ports: list[PortSpec],
    ) -> DiskRef:
        """Have a config drive (ISO 9660, label `config-2`) with OpenStack's first-boot files, and
        keep the same for the host's metadata service."""
        ...

    def own_disks(self, server_id: str) -> list[DiskRef]:
        """Return the disks of the server that are there, whole, but for those of a rescue."""
        ...

    def ensure_rescue_disks(
        self, server_id: str, project_id: str, build: BuildSpec
    ) -> list[DiskRef]:
        """Have a copy-on-write disk over the cached image, as large as it, to start from beside the
        server's own; and a config drive for it. What the metadata service tells stays. Raises
        HostFull, and HostError if such a disk is there over another image."""
        ...

    def remove_rescue_disks(self, server_id: str) -> None:
        """Remove them."""
        ...

    def keep_disks(self, server_id: str) -> None:
        """Have copies of the disks that the server's guest writes to, and of its firmware's
        variables, from which `restore_disks` gives them back. A copy that is there is kept. Raises
        HostFull, and HostError while the domain is not off or if there is no root disk."""
        ...

    def keeps_disks(self, server_id: str) -> bool:
        """Say whether there is a copy that `keep_disks` made."""
        ...

    def restore_disks(self, server_id: str) -> None:
        """Have the copies in the place of the disks. None there is done. Raises HostError while the
        domain is not off."""
        ...

    def drop_disks(self, server_id: str) -> None:
        """Remove the copies. Absent is done."""
        ...

    def reshape_disks(self, server_id: str, machine: MachineSpec) -> list[DiskRef]:
        """Have the server's disks, but for its config drive, as this machine has them: the root and
        the ephemeral disk grow, and are never made smaller; the swap disk is made anew if it has
        another size; what the machine has not is removed. Raises HostFull, and HostError if there
        is no root disk."""
        ...

    def remove_disks(self, server_id: str, *, keep_ephemeral: bool = False) -> None:
        """Remove all disks of the server, its config drive, its firmware's variables and what the
        metadata service tells it; but not an ephemeral disk that is to be kept."""
        ...

    def take_snapshot(
        self, server_id: str, image_id: str, limit_s: float, role: CarriedRole = "root"
    ) -> None:
        """Have a copy of the server's disk for the image: one qcow2 file without another below it.
        Of a guest that runs only the root disk is copied, and it goes on: what the copy gets is
        what a power cut would leave, or, if its agent freezes its file systems for that moment,
        what is whole. A copy that is there is kept, a half one begun anew. Raises HostError (also
        after `limit_s` seconds, and without a disk), HostFull, HostBusy, ForeignOwner."""
        ...

    def send_snapshot(self, server_id: str, upload: ImageUpload, limit_s: float) -> None:
        """Give the image the copy's bytes, and remove the copy. An image that has its bytes needs
        no copy. Raises UploadFailed, ImageRefused, and HostError if there is no copy."""
        ...

    def fetch_disk(self, server_id: str, disk: CarriedDisk, limit_s: float) -> None:
        """Have a disk of the server that `take_snapshot` has copied on another host, and whose copy
        is an image now; or the disc that the server is installed from. One that is there is kept.
        Raises DownloadFailed, ImageCorrupt, ImageUnusable if it does not stand alone, HostFull,
        HostError."""
        ...

    def remove_snapshot(self, server_id: str, image_id: str) -> None:
        """Remove the copy, whole or not; stop making it. Absent is done. Raises ForeignOwner."""
        ...

    # --- networks ----------------------------------------------------------------------------

    def ensure_network(self, network: NetworkSpec) -> None:
        """Have the network up on this host as it is described, with its tunnel to the other hosts
        that carry it. One that was different is changed, which interrupts its guests for less than
        a second. Raises ForeignOwner, and HostError if the host lacks its physical network or its
        MTU does not fit."""
        ...

    def networks_intact(self, network_ids: Collection[str]) -> bool:
        """Say whether all of these networks are up on this host. Cheap. Raises HostError."""
        ...

    def remove_idle_networks(self, keep: Collection[str]) -> None:
        """Remove our networks, except those with these ids, that nothing on the host has used for
        a quarter of an hour."""
        ...

    def ensure_port(self, network: NetworkSpec, port: PortSpec, hostname: str) -> None:
        """Have the network up on this host, the port's address as a static DHCP entry of it, and
        the filter that keeps the interface to its own MAC, IP and ARP."""
        ...

    def ensure_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """Have these ports, whose networks are there, kept to what their security groups allow:
        to nothing, if a group is not known. Ports that are not named are left as they are, but for
        groups that they share. Of a firewall of an older revision than was carried out, only
        what is not known yet is taken. A connection that the rules would not let begin now ends.
        So it is with what is routed to these ports: their routers, and their floating IPs.
        Raises MalformedMessage, and then nothing has changed."""
        ...

    def update_firewall(self, firewall: FirewallSpec, ports: list[PortSpec]) -> None:
        """As `ensure_firewall`, for those of the ports whose `ensure_port` was called and
        `remove_ports` was not: an order for a host may cross a server that comes or goes. Of the
        others it is only kept in mind what the newest rules are."""
        ...

    def firewall_intact(self) -> bool:
        """Say whether the host still has what `ensure_firewall` put there. Cheap."""
        ...

    def restore_firewall(self) -> None:
        """Put back all that `ensure_firewall` was told."""
        ...

    def refused_floating_ips(self) -> list[str]:
        """Return the ids of the floating IPs that the host was told of with a firewall and cannot
        have: it has no interface where they are. The others are answered for."""
        ...

    def remove_ports(self, server_id: str, ports: list[PortSpec]) -> None:
        """Remove the DHCP entries, filters, firewall rules and floating IPs of these ports. The
        network stays."""
        ...

    # --- domains -----------------------------------------------------------------------------

    def find(self, server_id: str) -> Domain | None:
        """Return the server's domain, or None. Raises ForeignOwner if a domain of that UUID is
        there that does not carry our mark."""
        ...

    def define(self, job: Job, spec: DomainSpec) -> Domain:
        """Have the domain defined, not started, marked with the job's server, project, run and
        attempt. One with processors of its own has them from now on, until it is removed. Raises
        ForeignOwner, HostError, HostFull if there are not enough of these, StaleMessage if a newer
        attempt of the run defined it, and ImageUnusable for hardware that no machine can have."""
        ...

    def describe(self, job: Job, outline: Outline, image_format: StoredFormat) -> str:
        """Return how `define` would describe the domain over the disks that an image of this format
        would give it, as XML. Nothing is made, and no processor is given away. Raises HostFull and
        ImageUnusable as `define` does, HostError."""
        ...

    def start(self, server_id: str) -> Domain:
        """Have the domain running: started anew, gone on with if it was paused, or with the memory
        that `suspend` saved. Raises ForeignOwner, HostError (libvirt's own words are in its
        facts; also for a domain in quarantine, until it is defined anew), HostFull. If the host's
        firewall is not as it was left it is put back first: no guest runs without."""
        ...

    def shut_down(self, server_id: str) -> None:
        """Ask the guest to stop, as by its power button, and return at once: it may take its time,
        or not hear. Off is done. Raises ForeignOwner, and HostError if there is no domain."""
        ...

    def cut_power(self, server_id: str) -> None:
        """Have the domain off at once, and forget what `suspend` saved of it. Absent is done.
        Raises ForeignOwner."""
        ...

    def pause(self, server_id: str) -> None:
        """Have the domain's processors stand still. Raises ForeignOwner, and HostError if it does
        not run."""
        ...

    def suspend(self, server_id: str) -> None:
        """Have the domain off with its memory on the host's disk, from where `start` goes on with
        it. Takes as long as writing the memory takes. Raises ForeignOwner, and HostError if it
        neither runs nor is paused."""
        ...

    def attach_port(self, server_id: str, port: PortSpec, machine: MachineSpec) -> None:
        """Have the interface in the domain, and in its guest if it runs. `ensure_port` comes first.
        Raises ForeignOwner, and HostError if there is no domain or no room in it."""
        ...

    def detach_port(self, server_id: str, port: PortSpec) -> bool:
        """Have the domain without the interface, and say whether it is: a guest that runs is asked
        to let go of it, and may take its time, or not hear. Absent is done, also without a domain.
        Raises ForeignOwner."""
        ...

    def set_password(self, server_id: str, password: Password) -> None:
        """Have the guest's agent give a user of the guest a password. Raises ForeignOwner,
        HostError if the server does not run, and Conflict if no agent answers or it refuses."""
        ...

    def inject_nmi(self, server_id: str) -> None:
        """Interrupt the guest's processors by an NMI, upon which its kernel may dump its memory.
        Raises ForeignOwner, and HostError if it is off."""
        ...

    def remove_domain(self, server_id: str) -> None:
        """Stop the domain at once and undefine it with everything that hangs on it (NVRAM, managed
        save, snapshots, checkpoints) and its console log. Raises ForeignOwner."""
        ...

    def observe(self, server_id: str, ports: list[PortSpec]) -> Observation:
        """Look at the guest from outside. Never waits longer than a few seconds."""
        ...

    def console(self, server_id: str) -> str:
        """Return the last of what the server's guests have written to its serial console, at most
        64 KiB, decoded with replacement; empty if there is nothing."""
        ...

    def diagnose(self, server_id: str) -> Diagnosis:
        """Return what a running or paused server's machine has used and moved since it was started.
        Raises NotRunning, ForeignOwner, HostError."""
        ...

    def open_console(self, server_id: str, kind: ConsoleKind) -> int:
        """Return a file descriptor, the caller's to close, that reads and writes a running guest's
        console: `vnc` speaks RFB, `serial` is its first serial port. It ends when the guest's
        machine does. What the serial console writes is logged all the same. Raises NotRunning,
        NoConsole if it was made without, ForeignOwner."""
        ...

    def traces(self, server_id: str, ports: list[PortSpec]) -> list[str]:
        """Name everything of this server that is on the host now: domain, disks, config drive,
        firmware variables, metadata, console log, DHCP entries, filters, firewall rules. Empty
        means that it is really gone."""
        ...

    # --- what nobody may own any more ----------------------------------------------------------

    def survey(self) -> list[Thing]:
        """Return everything on the host that carries our mark: domains, disks, config drives,
        firmware variables, metadata, console logs, DHCP entries, filters, firewall rules. Cached
        images, networks and the storage pool are shared by servers and not listed; what is not
        ours is never listed."""
        ...

    def quarantine(self, thing: Thing) -> None:
        """Put a thing of a survey out of action, so that it can still be looked at: a domain is
        stopped and does not start again, a file is set aside. Kinds that hold nothing worth
        keeping (DHCP entries, filters, rules) are left as they are. Absent is done, what does not
        carry our mark is left alone. Raises ForeignOwner, and MalformedMessage for a name that no
        thing of the kind can have."""
        ...

    def discard(self, thing: Thing) -> None:
        """Remove a thing of a survey for good: a domain with all that hangs on it. One that was
        seen in quarantine is removed only from there. Absent is done. Raises ForeignOwner, and
        MalformedMessage for a name that no thing of the kind can have."""
        ...

    def watch(self, watcher: Watcher) -> None:
        """Tell the watcher from now on whenever a domain of ours begins, stops or vanishes, also
        after the connection was lost and opened again. What happens in between is not told: the
        survey is the net below it."""
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...
