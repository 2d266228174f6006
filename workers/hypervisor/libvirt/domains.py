"""Domains: found by the server's id, ours if they carry our mark, defined, started, removed.

Effect  one persistent domain, its UUID the server's id; its console's log.
Repeat  the same attempt's domain is kept; an older one's is described anew.
Undo    `remove`: nothing that hangs on the domain stays. Disks and ports are not its business.
"""

from pathlib import Path

import libvirt
import structlog
from lxml import etree
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random

from tasks.errors import (
    ByreError,
    ForeignOwner,
    HostError,
    HostFull,
    NotRunning,
    StaleMessage,
)
from tasks.messages import ConsoleKind, Diagnosis, DomainSpec, DomainState, Job, Password
from workers.hypervisor import names
from workers.hypervisor.libvirt import agent
from workers.hypervisor.libvirt.connection import Keeper
from workers.hypervisor.libvirt.consoles import open_console
from workers.hypervisor.libvirt.diagnosis import diagnosis
from workers.hypervisor.libvirt.disks import prepare_directory
from workers.hypervisor.libvirt.domain_xml import (
    METADATA_PREFIX,
    NAMESPACE,
    as_text,
    domain_xml,
    metadata_xml,
)
from workers.hypervisor.libvirt.errors import is_gone, to_byre, translated
from workers.hypervisor.libvirt.lookup import absent_is_done, lookup
from workers.hypervisor.libvirt.machine_xml import Ground
from workers.hypervisor.libvirt.marks import is_quarantined, mark_of, mark_quarantined
from workers.hypervisor.libvirt.processors import Processors
from workers.hypervisor.libvirt.turns import Turns
from workers.hypervisor.port import Domain

log = structlog.get_logger(__name__)

_STATES: dict[int, DomainState] = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    # On its way down, but QEMU still runs.
    libvirt.VIR_DOMAIN_SHUTDOWN: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "paused",
    libvirt.VIR_DOMAIN_SHUTOFF: "shutoff",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
}
_UNDEFINE_EVERYTHING = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_TPM
)
#: How often a start is tried that the packet filter did not let through.
TRIES = 4
_AS_DEFINED = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE


class Domains:
    """The domains of one host."""

    def __init__(
        self, keeper: Keeper, console_dir: Path, processors: Processors, turns: Turns
    ) -> None:
        self._keeper = keeper
        self._turns = turns
        self._processors = processors
        self._console_dir = console_dir

    def find(self, server_id: str) -> Domain | None:
        """See the port."""
        with translated("look for the server"):
            handle = self.handle(server_id)
            return None if handle is None else _described(server_id, handle)

    def handle(self, server_id: str) -> libvirt.virDomain | None:
        """Return libvirt's handle of the domain, whoever's it is."""
        return lookup(self._keeper.connection().lookupByUUIDString, names.checked(server_id))

    def define(self, job: Job, spec: DomainSpec, ground: Ground) -> Domain:
        """See the port. Raises StaleMessage if a newer attempt defined it."""
        found = self.find(job.server_id)
        if found is not None and found.run_id == job.run_id:
            if found.attempt > job.attempt:
                raise StaleMessage("The domain is a newer attempt's.", attempt=found.attempt)
            if found.attempt == job.attempt:
                return found
        with (
            translated("define the server"),
            # Until it is defined, nobody else may take the same processors.
            self._processors.given(job.server_id, spec.machine) as pins,
        ):
            description = domain_xml(job, spec, ground, pins)
            log.debug("domain.described", xml=description)
            self._refuse_foreign_name(job.server_id)
            prepare_directory(self._console_dir)
            handle = self._keeper.connection().defineXMLFlags(description, 0)
            _mark_running(handle, job, spec.machine.name)
            return _described(job.server_id, handle)

    def describe(self, job: Job, spec: DomainSpec, ground: Ground) -> str:
        """See the port. Processors that are chosen for a domain that is not defined then stay
        free."""
        with (
            translated("describe the server"),
            self._processors.given(job.server_id, spec.machine) as pins,
        ):
            return domain_xml(job, spec, ground, pins)

    def start(self, server_id: str) -> Domain:
        """See the port. A paused domain goes on, one in quarantine does not. Raises HostError."""
        with translated("start the server"):
            handle, domain = self._there(server_id)
            if is_quarantined(handle):
                raise HostError("The domain to start is in quarantine.", server=server_id)
            if domain.state == "paused":
                handle.resume()
            elif domain.state != "running":
                self._create(handle)
            return _described(server_id, handle)

    def shut_down(self, server_id: str) -> None:
        """See the port. By ACPI and not by the agent: libvirt would wait for the agent's answer."""
        with translated("shut the server down"):
            handle, _ = self._there(server_id)
            with absent_is_done(libvirt.VIR_ERR_OPERATION_INVALID):
                handle.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)

    def cut_power(self, server_id: str) -> None:
        """See the port."""
        with translated("cut the server's power"), absent_is_done():
            handle = self.handle(server_id)
            if handle is None:
                return
            _described(server_id, handle)
            self._end(handle)
            if handle.hasManagedSaveImage(0):
                handle.managedSaveRemove(0)

    def pause(self, server_id: str) -> None:
        """See the port."""
        with translated("pause the server"):
            handle, domain = self._there(server_id)
            if domain.state != "paused":
                handle.suspend()

    def suspend(self, server_id: str) -> None:
        """See the port. Nobody else's change of the packet filter waits until the memory is
        written: what libvirt takes away in the end is the same as when a guest stops by itself."""
        with translated("suspend the server"):
            handle, domain = self._there(server_id)
            if domain.state in ("running", "paused") or not handle.hasManagedSaveImage(0):
                handle.managedSave(libvirt.VIR_DOMAIN_SAVE_RUNNING)

    def set_password(self, server_id: str, password: Password) -> None:
        """See the port."""
        with translated("set the server's password"):
            handle, domain = self._there(server_id)
            if domain.state != "running":
                raise HostError("The server does not run.", server=server_id)
            agent.set_password(handle, password)

    def inject_nmi(self, server_id: str) -> None:
        """See the port."""
        with translated("interrupt the server"):
            handle, _ = self._there(server_id)
            handle.injectNMI(0)

    def remove(self, server_id: str) -> None:
        """See the port."""
        with translated("remove the server"):
            handle = self.handle(server_id)
            if handle is not None:
                _described(server_id, handle)
                self._end(handle)
                # A domain without a definition is gone with its process.
                with absent_is_done():
                    if handle.isPersistent():
                        handle.undefineFlags(_UNDEFINE_EVERYTHING)
        for path in self.console_logs(server_id):
            path.unlink(missing_ok=True)

    def open_console(self, server_id: str, kind: ConsoleKind) -> int:
        """See the port."""
        with translated("open the server's console"):
            return open_console(self._on(server_id)[0], kind)

    def diagnose(self, server_id: str) -> Diagnosis:
        """See the port."""
        with translated("look at what the server has used"):
            handle, domain = self._on(server_id)
            return diagnosis(handle, is_paused=domain.state == "paused")

    def is_quarantined(self, server_id: str) -> bool:
        """Say whether the domain is there and was put out of action."""
        with translated("look for the server"):
            handle = self.handle(server_id)
            return handle is not None and is_quarantined(handle)

    def quarantine(self, server_id: str) -> None:
        """See the port. The mark comes last: with it, the domain is stopped and kept."""
        with translated("put the server out of action"), absent_is_done():
            handle = self.handle(server_id)
            if handle is None:
                return
            _described(server_id, handle)
            if not handle.isPersistent():
                # It would be gone with its process, and nothing would be left to look at.
                description = handle.XMLDesc(_AS_DEFINED)
                handle = self._keeper.connection().defineXMLFlags(description, 0)
            handle.setAutostart(0)
            self._end(handle)
            mark_quarantined(handle)

    def console_logs(self, server_id: str) -> list[Path]:
        """Return the console's log and its older parts."""
        return sorted(self._console_dir.glob(f"{names.console_file(server_id)}*"))

    def present(self, server_id: str) -> libvirt.virDomain:
        """Return libvirt's handle of the server's domain. Raises HostError if there is none,
        ForeignOwner."""
        return self._there(server_id)[0]

    def _there(self, server_id: str) -> tuple[libvirt.virDomain, Domain]:
        """Return the domain. Raises HostError if there is none, ForeignOwner."""
        handle = self.handle(server_id)
        if handle is None:
            raise HostError("The server's domain is not defined.", server=server_id)
        return handle, _described(server_id, handle)

    def _on(self, server_id: str) -> tuple[libvirt.virDomain, Domain]:
        """Return the domain whose machine is on. Raises NotRunning, ForeignOwner."""
        handle = self.handle(server_id)
        domain = None if handle is None else _described(server_id, handle)
        if handle is None or domain is None or domain.state not in ("running", "paused"):
            raise NotRunning("The server does not run.", server=server_id)
        return handle, domain

    def _create(self, handle: libvirt.virDomain) -> None:
        try:
            with self._turns.libvirts():
                _create_behind_filters(handle)
        except libvirt.libvirtError as error:
            if handle.isActive():
                # Another call started it in the meantime; what we wanted is there.
                return
            raise self._start_failure(handle, error) from error
        if _is_unweighed(handle):
            self._end(handle)
            raise HostError("The hypervisor has no control groups to weigh processors by.")

    def _end(self, handle: libvirt.virDomain) -> None:
        with self._turns.libvirts(), absent_is_done(libvirt.VIR_ERR_OPERATION_INVALID):
            handle.destroyFlags(0)

    def _start_failure(self, handle: libvirt.virDomain, error: libvirt.libvirtError) -> ByreError:
        """QEMU's want of memory comes as any failure of QEMU does, so memory is looked at."""
        failure = to_byre(error, "start the server")
        if type(failure) is HostError and _available_kib() < handle.maxMemory():
            return HostFull("The host has not enough memory to start the server.", **failure.facts)
        return failure

    def _refuse_foreign_name(self, server_id: str) -> None:
        name = names.domain_name(server_id)
        handle = lookup(self._keeper.connection().lookupByName, name)
        if handle is not None and handle.UUIDString() != server_id:
            raise ForeignOwner("Another domain has the server's name.", name=name)


def state_of(handle: libvirt.virDomain) -> DomainState:
    """Return the domain's state; one that stopped because it crashed counts as crashed."""
    state, reason = handle.state(0)
    if state == libvirt.VIR_DOMAIN_SHUTOFF and reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
        return "crashed"
    return _STATES.get(state, "shutoff")


def _described(server_id: str, handle: libvirt.virDomain) -> Domain:
    """Return the domain as its own mark describes it. Raises ForeignOwner if it has none, or the
    mark of the domain that it was copied from."""
    fields = mark_of(handle)
    if fields is None or fields.get("id") != server_id:
        raise ForeignOwner("A domain that is not ours has the server's id.", server=server_id)
    return Domain(
        server_id=server_id,
        run_id=fields.get("run", ""),
        attempt=int(fields.get("attempt", "0")),
        state=state_of(handle),
    )


def _is_unweighed(handle: libvirt.virDomain) -> bool:
    """Say whether a domain was started without the weight that its flavor gives it: where libvirt
    sees no control groups, it refuses limits in time, but passes over a weight."""
    if etree.fromstring(handle.XMLDesc(0)).find("cputune/shares") is None:
        return False
    try:
        handle.schedulerParameters()
    except libvirt.libvirtError as error:
        if is_gone(error):
            raise
        return True
    return False


def is_of_packet_filter(error: BaseException) -> bool:
    """Say whether the packet filter did not let it through."""
    return (
        isinstance(error, libvirt.libvirtError)
        # Its types do not have it.
        and error.get_error_domain() == libvirt.VIR_FROM_FIREWALL  # type: ignore[attr-defined]
    )


@retry(
    retry=retry_if_exception(is_of_packet_filter),
    stop=stop_after_attempt(TRIES),
    wait=wait_random(0.1, 0.5),
    reraise=True,
)
def _create_behind_filters(handle: libvirt.virDomain) -> None:
    """Start the domain. Somebody else's change of the packet filter makes libvirt's fail (see
    `turns`), so the same is tried again."""
    handle.createWithFlags(0)


def _mark_running(handle: libvirt.virDomain, job: Job, name: str) -> None:
    """Defining leaves a running domain's mark as it was; it must name the newest attempt."""
    if handle.isActive():
        handle.setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT,
            as_text(metadata_xml(job, name, qualified=False)),
            METADATA_PREFIX,
            NAMESPACE,
            libvirt.VIR_DOMAIN_AFFECT_LIVE,
        )


def _available_kib() -> int:
    """Return the memory that this host could still give to a process, in KiB."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return int(value.split()[0])
    return 0
